"""The comparison finds what differs, and only that."""

import copy
from typing import Any

import pytest

from tests.parity import listed, scenario
from tests.parity.__main__ import parted, reference
from tests.parity.compare import Difference, compared
from tests.parity.listed import Entry
from tests.parity.recorder import Row
from tests.parity.result import judged
from tests.parity.typed import mistaken

A, B, C, D, E, F = (letter * 24 + "1" for letter in "abcdef")


def recording(*exchanges: Row, stdout: str = "", cli: str = "docker x") -> list[Row]:
    step: Row = {"kind": "step", "step": 1, "node": "node1", "cli": cli, "exit": 0, "stdout": stdout, "stderr": ""}
    return [step, *({"kind": "exchange", "step": 1, "seq": at, **each} for at, each in enumerate(exchanges))]


def got(path: str, answer: Any, **more: Any) -> Row:
    return {"method": "GET", "path": path, "query": {}, "status": 200, "response_json": answer, **more}


def found(reference: list[Row], other: list[Row]) -> list[str]:
    return [difference.what for difference in compared(reference, other).differences]


@pytest.mark.parametrize("name", scenario.names())
def test_a_recording_is_equal_to_itself(name: str) -> None:
    rows = reference(name)
    assert compared(rows, copy.deepcopy(rows)).differences == ()


def test_other_ids_are_equal_if_each_is_always_the_same_one() -> None:
    rows = recording(got(f"/tasks/{A}", {"ID": A}), got("/x", {"ServiceID": B}))
    assert found(rows, recording(got(f"/tasks/{C}", {"ID": C}), got("/x", {"ServiceID": D}))) == []
    assert found(rows, recording(got(f"/tasks/{C}", {"ID": C}), got("/x", {"ServiceID": C}))) == ["GET /x"]


def test_an_id_may_be_of_letters_alone() -> None:
    rows = recording(got("/x", {"ID": A}), stdout=f"{A}\n")
    assert found(rows, recording(got("/x", {"ID": "a" * 25}), stdout=f"{'a' * 25}\n")) == []
    assert found(rows, recording(got("/x", {"Name": "a" * 25}), stdout=f"{'a' * 25}\n")) == ["GET /x", "cli"]


def test_a_shortened_id_is_that_of_the_long_one() -> None:
    rows = recording(got("/x", [{"ID": A, "a": 1}, {"ID": B}]), stdout=f"{A[:12]}  one\n")
    asked = got("/x", [{"ID": C, "a": 1}, {"ID": D}])
    assert found(rows, recording(asked, stdout=f"{C[:12]}   one\n")) == []
    assert found(rows, recording(asked, stdout=f"{D[:12]}  one\n")) == ["cli"]


@pytest.mark.parametrize(
    ("their", "our"),
    [
        ({"a": 1}, {"a": 1, "b": None}),
        ({"a": []}, {"a": None}),
        ({"a": 0}, {"a": 0.0}),
        ({"a": "no such service"}, {"a": "no such service."}),
        ({"Env": ["A", "B"]}, {"Env": ["B", "A"]}),
    ],
)
def test_another_answer_is_a_difference(their: Any, our: Any) -> None:
    assert found(recording(got("/x", their)), recording(got("/x", our))) == ["GET /x"]


def test_another_status_or_header_is_a_difference() -> None:
    rows = recording(got("/x", {}, response_headers={"content-type": "application/json", "server": "Docker/20.10"}))
    assert found(rows, recording(got("/x", {}, response_headers={"content-type": "text/plain"}))) == ["GET /x"]
    assert found(rows, recording(got("/x", {}, response_headers={"content-type": "application/json"}))) == []
    assert found(recording(got("/x", {})), recording(got("/x", {}, status=201))) == ["GET /x"]


def test_a_request_more_or_less_is_a_difference() -> None:
    rows = recording(got("/x", {}), got("/y", {}))
    assert found(rows, recording(got("/y", {}))) == ["GET /x"]
    assert found(recording(got("/y", {})), rows) == ["GET /x"]


def test_a_step_that_was_not_done_is_a_difference() -> None:
    assert found(recording(), []) == ["cli"]


def test_instants_and_addresses_of_overlays_are_not_compared_but_their_subnets_are() -> None:
    rows = recording(got("/x", {"At": "2026-01-02T03:04:05.6Z", "Addr": "10.0.1.7/24"}))
    assert found(rows, recording(got("/x", {"At": "2025-01-02T03:04:05Z", "Addr": "10.0.1.9/24"}))) == []
    assert found(rows, recording(got("/x", {"At": "2025-01-02T03:04:05Z", "Addr": "10.0.2.7/24"}))) == ["GET /x"]


def posted(name: str, path: str = "/v1.41/networks/create") -> Row:
    return {"method": "POST", "path": path, "query": {}, "status": 201, "request_json": {"Name": name}}


def test_a_stack_is_deployed_in_the_order_that_the_client_draws() -> None:
    deploy = "docker stack deploy -c s.yml app"
    said = "Creating network app_a\nCreating network app_b\n"
    drawn = "Creating network app_b\nCreating network app_a\n"
    there = recording(posted("app_a"), posted("app_b"), stdout=said, cli=deploy)
    assert found(there, recording(posted("app_b"), posted("app_a"), stdout=drawn, cli=deploy)) == []
    assert found(there, recording(posted("app_b"), posted("app_b"), stdout=drawn, cli=deploy)) != []
    there = recording(posted("app_a"), posted("app_b"), stdout=said)
    assert found(there, recording(posted("app_b"), posted("app_a"), stdout=drawn)) != []


def test_networks_of_a_stack_have_what_they_are_given_in_turn_but_each_always_the_same() -> None:
    deploy = "docker stack deploy -c s.yml app"
    there = recording(got("/x", {"a": "10.0.1.0/24", "b": "10.0.2.0/24"}), got("/y", ["10.0.1.2"]), cli=deploy)
    swapped = got("/x", {"a": "10.0.2.0/24", "b": "10.0.1.0/24"})
    assert found(there, recording(swapped, got("/y", ["10.0.2.2"]), cli=deploy)) == []
    assert found(there, recording(swapped, got("/y", ["10.0.1.2"]), cli=deploy)) == ["GET /y"]


def logged(*lines: str, tail: str = "all") -> Row:
    frames = [{"stream": "stdout", "data": line} for line in lines]
    return got("/v1.41/services/w/logs", None, query={"tail": tail}, response_stream=frames)


def whose(task: str, text: str) -> str:
    return f"com.docker.swarm.task.id={task} {text}\n"


def test_lines_are_compared_task_by_task_and_each_tasks_own_keep_their_order() -> None:
    there = recording(logged(whose(A, "x"), whose(A, "y"), whose(B, "z")))
    assert found(there, recording(logged(whose(D, "z"), whose(C, "x"), whose(C, "y")))) == []
    assert found(there, recording(logged(whose(D, "z"), whose(C, "y"), whose(C, "x")))) != []
    assert found(there, recording(logged(whose(C, "z"), whose(C, "x"), whose(C, "y")))) != []


def test_the_lines_of_a_tasks_two_streams_are_compared_by_themselves() -> None:
    def both(*lines: tuple[str, str]) -> Row:
        frames = [{"stream": stream, "data": text} for stream, text in lines]
        return got(f"/v1.41/tasks/{A}/logs", None, response_stream=frames)

    there = recording(both(("stderr", "e"), ("stdout", "x"), ("stdout", "y")))
    assert found(there, recording(both(("stdout", "x"), ("stdout", "y"), ("stderr", "e")))) == []
    assert found(there, recording(both(("stderr", "e"), ("stdout", "y"), ("stdout", "x")))) != []


def test_what_stands_by_its_ids_has_no_order() -> None:
    there = recording(got("/x", {"Containers": {A: {"Name": "a"}, B: {"Name": "b"}}}))
    assert found(there, recording(got("/x", {"Containers": {D: {"Name": "a"}, C: {"Name": "b"}}}))) == []
    assert found(there, recording(got("/x", {"Containers": {D: {"Name": "a"}, C: {"Name": "c"}}}))) != []


def test_output_of_a_command_is_read_in_any_parts() -> None:
    def said(*parts: tuple[str, str]) -> list[Row]:
        frames = [{"stream": stream, "data": text} for stream, text in parts]
        return recording(got("/exec/x/start", None, response_stream=frames))

    there = said(("stdout", "one"), ("stdout", "two"), ("stderr", "three"))
    assert found(there, said(("stdout", "onetwo"), ("stderr", "three"))) == []
    assert found(there, said(("stdout", "onetwothree"))) != []


def test_how_far_a_task_has_counted_is_not_compared_but_how_long_a_tail_is() -> None:
    assert found(recording(logged("out", "n1", "n2")), recording(logged("out", "n1", "n2", "n3"))) == []
    assert found(recording(logged("out", "n1")), recording(logged("out"))) != []
    assert found(recording(logged("n1", "n2", tail="2")), recording(logged("n2", "n3", tail="2"))) == []
    assert found(recording(logged("n1", "n2", tail="2")), recording(logged("n3", tail="2"))) != []


def test_the_beginning_of_an_id_that_was_typed_may_be_any() -> None:
    rows = recording(got("/services/aa", {"message": "service aa is ambiguous"}), got("/x", [{"ID": A}]), cli="get aa")
    other = [got("/services/cc", {"message": "service cc is ambiguous"}), got("/x", [{"ID": C}])]
    assert found(rows, recording(*other, cli="get cc")) == []
    assert found(rows, recording(*other, cli="get aa")) == ["GET /services/aa", "GET /services/cc"]


def test_a_run_in_which_a_name_was_taken_for_the_beginning_of_an_id_is_told() -> None:
    rows = recording(got("/v1.41/services/a", {"message": "service a not found"}, status=404))
    assert not mistaken(rows, rows)
    assert mistaken(rows, recording(got("/v1.41/services/a", {"ID": A})))
    assert not mistaken(rows, recording(got("/v1.41/services/a", {"ID": B})))


def test_volumes_and_the_mounts_of_containers_have_no_order_but_those_of_services_have() -> None:
    for name, equal in (("Mountpoint", True), ("Destination", True), ("Target", False)):
        one, two = {name: "/one"}, {name: "/two"}
        assert (found(recording(got("/x", [one, two])), recording(got("/x", [two, one]))) == []) is equal


def test_where_a_made_up_name_stands_among_others_is_not_compared() -> None:
    rows = recording(got("/services", [{"ID": A, "Spec": {"Name": "bold_ant"}}]), stdout="bold_ant\nother\n")
    other = recording(got("/services", [{"ID": C, "Spec": {"Name": "wise_bee"}}]), stdout="other\nwise_bee\n")
    assert found(rows, other) == []
    other[0]["stdout"] = "another\nwise_bee\n"
    assert found(rows, other) == ["cli"]


def test_how_often_a_client_looked_is_not_compared() -> None:
    rows = recording(stdout="active tasks: 0 out of 2 tasks\nactive tasks: 2 out of 2 tasks\njob complete\n")
    assert found(rows, recording(stdout="active tasks: 2 out of 2 tasks\njob complete\n")) == []
    assert found(rows, recording(stdout="active tasks: 2 out of 2 tasks\n")) == ["cli"]


@pytest.mark.parametrize(
    ("their", "our"),
    [
        ("HOME=<contract>/run/C/wd/11_x A=1", "HOME=/tmp/skep-ab12/wd A=1"),
        ("PATH=/root/bin:/usr/bin", "PATH=/bin"),
        ("<contract>/run/C/n1/data/volumes/v", "/srv/docker/volumes/v"),
        ("172.29.1.2", "172.29.1.7"),
    ],
)
def test_folders_and_addresses_of_the_machine_are_not_compared(their: str, our: str) -> None:
    assert found(recording(got("/x", {"A": their})), recording(got("/x", {"A": our}))) == []
    assert found(recording(got("/x", {"A": their})), recording(got("/x", {"A": f"{our}/more B"}))) == ["GET /x"]


def test_what_is_listed_has_its_reason_and_all_else_is_told() -> None:
    comparison = compared(recording(got("/x", {}), got("/y", {})), recording(got("/x", [1]), got("/y", [1])))
    entry = Entry(why="so", kind="purpose", what="GET /x", lines=r"[-+].*response_json.*|\+ +1|\+ +\]|.*")
    result = judged("01", comparison, [entry])
    assert result.listed == {"purpose": 1}
    assert [each.what for each in result.unlisted] == ["GET /y"]
    assert (result.counted, result.equal, result.good) == (3, 1, False)


def test_what_is_excluded_is_not_counted() -> None:
    comparison = compared(recording(got("/x", {}), got("/y", {})), recording(got("/x", [1]), got("/y", {})))
    result = judged("01", comparison, [Entry(why="so", kind="managers", scenario="01")])
    assert (result.counted, result.equal, result.excluded, result.good) == (2, 2, 1, True)


def test_an_entry_covers_only_lines_that_it_names() -> None:
    entry = Entry(why="so", kind="noise", lines='[-+] +"a": .*')
    assert entry.covers("01", Difference(1, "", "cli", ("  {", '-  "a": 1', '+  "a": 2')))
    assert not entry.covers("01", Difference(1, "", "cli", ("  {", '-  "a": 1', '+  "b": 2')))


def test_what_only_stands_elsewhere_has_moved_and_what_is_said_nowhere_has_not() -> None:
    entry = Entry(why="so", kind="noise", what="GET /x", moved=True)
    theirs = recording(got("/x", [{"State": "failed"}]), got("/y", [{"State": "running"}]))
    moved = compared(theirs, recording(got("/x", [{"State": "running"}]), got("/y", [{"State": "failed"}])))
    assert [each.what for each in judged("01", moved, [entry]).unlisted] == ["GET /y"]
    other = compared(theirs, recording(got("/x", [{"State": "lost"}]), got("/y", [{"State": "running"}])))
    assert [each.what for each in judged("01", other, [entry]).unlisted] == ["GET /x"]


def test_every_entry_is_of_a_scenario_that_there_is() -> None:
    assert {entry.scenario for entry in listed.read()} <= {"", *scenario.names()}


def test_parts_together_are_all_scenarios_once() -> None:
    names = scenario.names()
    parts = [parted(names, f"{number}/3") for number in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == names


def task(name: str, slot: int, node: str, second: int = 0) -> dict[str, Any]:
    return {"ID": name, "ServiceID": A, "Slot": slot, "NodeID": node, "CreatedAt": f"2026-01-01T00:00:0{second}Z"}


def nodes(*names: tuple[str, str]) -> Row:
    return got("/nodes", [{"ID": node, "CreatedAt": "t", "Description": {"Hostname": name}} for node, name in names])


def test_which_slot_got_which_node_is_drawn() -> None:
    known = nodes((C, "node1"), (D, "node2"))
    there = recording(known, got("/tasks", [task(E, 1, C), task(F, 2, D)]))
    assert found(there, recording(known, got("/tasks", [task(E, 1, D), task(F, 2, C)]))) == []
    assert found(there, recording(known, got("/tasks", [task(E, 1, C), task(F, 2, C)]))) == ["GET /tasks"]
    assert found(there, recording(known, got("/tasks", [task(E, 1, C), task(F, 3, D)]))) == ["GET /tasks"]


def test_a_table_of_tasks_has_its_slots_in_any_order() -> None:
    head = "ID   NAME   IMAGE   NODE   DESIRED STATE\n"
    there = recording(stdout=head + "1   w.1   i   n1   R\n2    \\_ w.1   i   n2   S\n3   w.2   i   n2   R\n")
    other = recording(stdout=head + "3   w.1   i   n2   R\n1   w.2   i   n1   R\n2    \\_ w.2   i   n2   S\n")
    assert found(there, other) == []
    other = recording(stdout=head + "3   w.1   i   n2   R\n2    \\_ w.1   i   n2   S\n1   w.2   i   n1   R\n")
    assert found(there, other) == ["cli"]


def test_objects_are_looked_up_in_any_order() -> None:
    one, two = got(f"/services/{A}", {"Name": "a"}), got(f"/services/{B}", {"Name": "b"})
    assert found(recording(one, two), recording(two, one)) == []
    assert found(recording(one, two), recording(one, one)) == [f"GET /services/{'<id>'}"]


def test_those_that_look_the_same_in_a_list_may_be_each_other() -> None:
    tasks = got("/tasks", [task(C, 1, "n", 1), task(D, 2, "n", 2)])
    there = recording(tasks, got("/x", {"ID": C}), got("/y", {"ID": B}))
    assert found(there, recording(tasks, got("/x", {"ID": D}), got("/y", {"ID": B}))) == []
    assert found(there, recording(tasks, got("/x", {"ID": C}), got("/y", {"ID": A}))) == ["GET /y"]


def test_events_of_before_the_scenario_are_left_out() -> None:
    def told(*seconds: int, **query: str) -> Row:
        return got("/events", None, query=query, response_stream=[{"timeNano": at * 10**9} for at in seconds])

    line = "1970-01-01T00:00:0{}.000000000Z x\n"
    there = recording(told(5, 6), told(4, 5, 6, since="0"), cli="docker events x", stdout=line.format(4))
    assert found(there, recording(told(5, 6), told(5, 6, since="0"), cli="docker events x")) == []
    assert found(there, recording(told(5, 6), told(6, since="0"), cli="docker events x")) == ["GET /events"]


def test_runtimes_are_told_in_any_order() -> None:
    rows = recording(stdout=" Runtimes: a runc\n Default Runtime: runc\n")
    assert found(rows, recording(stdout=" Runtimes: runc a\n Default Runtime: runc\n")) == []
    assert found(rows, recording(stdout=" Runtimes: runc\n Default Runtime: runc\n")) == ["cli"]


def test_what_stands_by_ids_has_no_order() -> None:
    def shown(*ids: str) -> Row:
        return got("/networks/n", {"Containers": {each: {"Name": f"c{at}"} for at, each in enumerate(ids)}})

    there = recording(shown(A, B))
    assert found(there, recording(shown(D, C))) == []
    assert found(there, recording(got("/networks/n", {"Containers": None}))) == ["GET /networks/n"]
    assert found(there, recording(shown(A))) == ["GET /networks/n"]


def test_networks_are_removed_in_any_order() -> None:
    def pruned(*names: str) -> list[Row]:
        answer = {"NetworksDeleted": list(names)}
        return recording(got("/p", answer), stdout="\n".join(("Deleted:", *names)), cli="docker network prune -f")

    assert found(pruned("a", "b"), pruned("b", "a")) == []
    assert found(pruned("a", "b"), pruned("b")) == ["GET /p", "cli"]


def test_containers_are_removed_at_once() -> None:
    one, two = got("/containers/c1", {}), got("/containers/c2", {})
    assert found(recording(one, two, cli="docker rm c1 c2"), recording(two, one, cli="docker rm c1 c2")) == []
    assert found(recording(one, two, cli="docker x"), recording(two, one, cli="docker x")) != []


def test_ports_of_a_nodes_own_choice_are_as_different_as_they_were() -> None:
    def published(*ports: int) -> Row:
        return got("/x", [{"PublishedPort": port, "Shown": f"*:{port}->80/tcp"} for port in ports])

    there = recording(published(32772, 32773))
    assert found(there, recording(published(32768, 32769))) == []
    assert found(there, recording(published(32768, 32768))) == ["GET /x"]
    assert found(there, recording(published(8080, 8081))) == ["GET /x"]


@pytest.mark.parametrize(
    ("their", "our", "other"),
    [
        ("172.24.0.0/16", "172.18.0.0/16", "172.30.0.0/24"),
        ("896: eth0@if897: <UP>", "58: eth0@if59: <UP>", "58: eth1@if59: <UP>"),
    ],
)
def test_subnets_and_interfaces_that_a_machine_chooses_are_not_compared(their: str, our: str, other: str) -> None:
    there = recording(got("/x", {"A": their}))
    assert found(there, recording(got("/x", {"A": our}))) == []
    assert found(there, recording(got("/x", {"A": other}))) == ["GET /x"]


def test_a_name_is_looked_up_for_both_families_at_once() -> None:
    def looked_up(*answers: str) -> list[Row]:
        text = "Server: s\n\n" + "".join(f"Non-authoritative answer:\n{each}\n" for each in answers)
        asked = got("/v1.41/exec/start", None, response_stream=[{"stream": "stdout", "data": text}])
        return recording(asked, stdout=text, cli="docker exec solo nslookup web")

    assert found(looked_up("", "Name: web\nAddress: a\n"), looked_up("Name: web\nAddress: a\n", "")) == []
    assert found(looked_up("", "Name: web\n"), looked_up("", "Name: vip\n")) == ["GET /v1.41/exec/start", "cli"]
    assert len(found(looked_up("", "Name: web\n"), looked_up("Name: web\n"))) == 2


def test_an_engine_tells_its_generic_resources_in_any_order() -> None:
    ssd, gpu = {"DiscreteResourceSpec": {"Kind": "ssd", "Value": 3}}, {"NamedResourceSpec": {"Kind": "gpu"}}
    there = recording(got("/info", {"GenericResources": [gpu, ssd]}))
    assert found(there, recording(got("/info", {"GenericResources": [ssd, gpu]}))) == []
    assert found(there, recording(got("/info", {"GenericResources": [ssd]}))) == ["GET /info"]


def test_networks_stand_in_any_order_where_the_client_puts_them_into_that_of_their_ids() -> None:
    def shown(*names: str) -> list[Row]:
        return recording(
            *(got(f"/networks/{A}", {"Name": name}) for name in names), stdout=f"Networks: {' '.join(names)}"
        )

    assert found(shown("n1", "n2"), shown("n2", "n1")) == []
    assert found(shown("n1", "n2"), shown("n1", "n3")) == ["GET /networks/<id>", "cli"]
