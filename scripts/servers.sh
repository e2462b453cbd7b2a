#!/usr/bin/env bash
# The servers of the profile at scale, on loopback, to try it and to test it: a Spark standalone master and two
# workers (of the installed pyspark; one core and 2 GB each), Redis and PostgreSQL (installed by apt where they
# are missing).
#
#   scripts/servers.sh install   installs Redis and PostgreSQL where they are missing
#   scripts/servers.sh start     starts what does not run, and prints what to export; `start stores` no Spark
#   scripts/servers.sh env       prints that again
#   scripts/servers.sh status    says what runs; exit code 1 where something does not
#   scripts/servers.sh stop      stops all and removes all that they kept
#
# MARQUEE_SERVERS names the folder that they keep everything in; SPARK_PORT, REDIS_PORT and POSTGRES_PORT where
# they listen; PYTHON the interpreter whose pyspark is used.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${MARQUEE_SERVERS:-/tmp/marquee-servers-$(id -u)}
spark_port=${SPARK_PORT:-7177}
redis_port=${REDIS_PORT:-6479}
postgres_port=${POSTGRES_PORT:-5532}
python=${PYTHON:-$root/.venv/bin/python}

fail() { echo "Error: $*" >&2; exit 2; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# PostgreSQL refuses to run as root.
as_postgres() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }

find_programs() {
    export PATH="$PATH:/usr/sbin:/sbin"
    local newest
    newest=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
    [ -z "$newest" ] || export PATH="$newest:$PATH"
    command -v redis-server initdb pg_ctl createdb >/dev/null && command -v initdb >/dev/null \
        && command -v redis-server >/dev/null
}

install_programs() {
    find_programs && return
    echo "Installing redis-server and postgresql"
    # In run level 1 the packages do not start the system's own servers.
    { command -v apt-get >/dev/null && as_root apt-get update -qq \
        && as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq redis-server postgresql >/dev/null; } || true
    find_programs || fail "Redis and PostgreSQL are missing and could not be installed: install redis-server and postgresql."
}

# wait_until SECONDS WHAT COMMAND…
wait_until() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || fail "$what did not start: see $folder/*.log."
        sleep 0.1
    done
}

spark_runs() { # spark_runs NAME
    local pid
    pid=$(cat "$folder/$1.pid" 2>/dev/null) || return 1
    tr '\0' ' ' 2>/dev/null < "/proc/$pid/cmdline" | grep -q org.apache.spark.deploy
}

spark_started() { spark_runs "$1" && grep -q "$2" "$folder/$1.log"; }

# spark_start NAME CLASS ARGUMENTS…: a daemon of Spark's own, in a process group of its own
spark_start() {
    local name=$1 home
    shift
    spark_runs "$name" && return
    home=$("$python" -c 'import pyspark; print(pyspark.__path__[0])')
    env -u SPARK_MASTER_HOST -u SPARK_MASTER_PORT SPARK_HOME="$home" SPARK_LOCAL_IP=127.0.0.1 \
        SPARK_DAEMON_MEMORY=256m SPARK_LOCAL_DIRS="$folder/spark" SPARK_NO_DAEMONIZE=1 \
        SPARK_WORKER_OPTS="-Dspark.worker.cleanup.enabled=true" \
        setsid "$home/bin/spark-class" "$@" </dev/null >"$folder/$name.log" 2>&1 &
    echo $! >"$folder/$name.pid"
}

spark_stop() { # spark_stop NAME
    local pid
    spark_runs "$1" || return 0
    pid=$(cat "$folder/$1.pid")
    kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
        spark_runs "$1" || return 0
        sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid"
}

redis_runs() {
    REDISCLI_AUTH=$(cat "$folder/password" 2>/dev/null) redis-cli -h 127.0.0.1 -p "$redis_port" ping 2>/dev/null \
        | grep -q PONG
}

postgres_runs() { [ -d "$folder/postgres" ] && as_postgres pg_ctl -D "$folder/postgres" status >/dev/null 2>&1; }

start() { # start [stores]
    install_programs
    command -v "$python" >/dev/null || fail "There is no Python at $python: run ./setup.sh first, or set PYTHON."
    mkdir -p "$folder"
    chmod 711 "$folder"
    [ -s "$folder/password" ] || (umask 077 && head -c 18 /dev/urandom | base64 | tr '+/' 'xy' >"$folder/password")
    if [ "${1:-}" != stores ]; then start_spark; fi
    start_stores
    if [ "${1:-}" != stores ]; then
        for worker in 1 2; do
            wait_until 60 "Spark worker $worker" spark_started "worker$worker" "Successfully registered with master"
        done
    fi
    variables
}

start_spark() {
    spark_start master org.apache.spark.deploy.master.Master \
        --host 127.0.0.1 --port "$spark_port" --webui-port 0
    wait_until 60 "The Spark master" spark_started master "I have been elected leader"
    for worker in 1 2; do
        spark_start "worker$worker" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --webui-port 0 \
            --cores 1 --memory 2g --work-dir "$folder/worker$worker" "spark://127.0.0.1:$spark_port"
    done
}

start_stores() {
    if ! redis_runs; then
        redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$folder" --save "" --daemonize yes \
            --requirepass "$(cat "$folder/password")" --pidfile "$folder/redis.pid" \
            --logfile "$folder/redis.log" >/dev/null
        wait_until 30 Redis redis_runs
    fi

    if ! postgres_runs; then
        if [ ! -e "$folder/postgres/PG_VERSION" ]; then
            mkdir -p "$folder/postgres"
            cp "$folder/password" "$folder/postgres.password"
            if [ "$(id -u)" = 0 ]; then chown postgres "$folder/postgres" "$folder/postgres.password"; fi
            as_postgres initdb -D "$folder/postgres" -U marquee -A scram-sha-256 --no-sync \
                --pwfile="$folder/postgres.password" >"$folder/postgres.log"
            rm "$folder/postgres.password"
        fi
        as_postgres pg_ctl -D "$folder/postgres" -l "$folder/postgres/server.log" -w -t 60 \
            -o "-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off" \
            start >/dev/null || fail "PostgreSQL did not start: see $folder/postgres/server.log."
    fi
    PGPASSWORD=$(cat "$folder/password") createdb -h 127.0.0.1 -p "$postgres_port" -U marquee marquee \
        2>/dev/null || true
}

variables() {
    [ -s "$folder/password" ] || fail "The servers do not run: scripts/servers.sh start."
    local password
    password=$(cat "$folder/password")
    echo "export MARQUEE_PROFILE=scale"
    echo "export MARQUEE_SPARK_MASTER=spark://127.0.0.1:$spark_port"
    echo "export MARQUEE_REDIS=127.0.0.1:$redis_port,password=$password"
    echo "export MARQUEE_POSTGRES=postgresql+psycopg://marquee:$password@127.0.0.1:$postgres_port/marquee"
}

status() {
    local all=0
    find_programs || true
    say() { if "${@:2}"; then echo "$1 runs"; else echo "$1 does not run"; all=1; fi; }
    say "Spark master" spark_runs master
    say "Spark worker 1" spark_runs worker1
    say "Spark worker 2" spark_runs worker2
    say Redis redis_runs
    say PostgreSQL postgres_runs
    return $all
}

stop() {
    find_programs || true
    for name in worker1 worker2 master; do spark_stop "$name"; done
    if redis_runs; then kill "$(cat "$folder/redis.pid")"; fi
    if postgres_runs; then as_postgres pg_ctl -D "$folder/postgres" -m immediate -w stop >/dev/null; fi
    for _ in $(seq 100); do redis_runs || break; sleep 0.1; done
    rm -rf "$folder"
}

case ${1:-} in
    install) install_programs ;;
    start) start "${2:-}" ;;
    status | stop) "$1" ;;
    env) variables ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
