"""SwarmKit's messages and stubs, generated from `../proto` by `make proto`: nothing here is to be read or edited."""
