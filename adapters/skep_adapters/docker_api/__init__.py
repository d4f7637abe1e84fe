"""The Docker Engine HTTP API over a cluster: what the docker CLI and Docker's SDKs speak, as far as Swarm goes.

    async with DockerApi(cluster).serve_unix("/run/skep.sock"):
        ...

What a request looks like and what it is answered is recorded of a real swarm; where skep differs, it says so (501).
"""

from skep_adapters.docker_api.server import DockerApi
from skep_adapters.docker_api.tls import Certificates
from skep_adapters.docker_api.unix_socket import SocketInUse

__all__ = ["Certificates", "DockerApi", "SocketInUse"]
