# The profile at scale on this machine: its servers on loopback, and the whole road on them.
.PHONY: servers servers-stop scale-run

servers: ## starts a Spark cluster, Redis and PostgreSQL, and prints what to export
	scripts/servers.sh start

servers-stop: ## stops them and removes what they kept
	scripts/servers.sh stop

scale-run: servers ## goes the whole road at scale; OPTIONS are those of marquee run
	eval "$$(scripts/servers.sh env)" && ./run.sh $(OPTIONS)
