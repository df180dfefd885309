#!/bin/bash
#SBATCH --job-name=switchbench-%{name}
%{requests}
#SBATCH --requeue --open-mode=append
#SBATCH --signal=B:USR1@120

cd %{folder} || exit
export PATH=%{programs}:$PATH RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0 tmp
RAY_AUTH_TOKEN=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
tmp=$(mktemp -d "/tmp/switchbench-$SLURM_JOB_ID-XXXXXX") || exit
driver='' signal=''

node() { # start Ray on a node; its ports are random, so that jobs can share the node
    [ -d "$tmp" ] || mkdir -m 700 "$tmp"
    exec ray start --block --temp-dir="$tmp/ray" --num-cpus="$SLURM_CPUS_ON_NODE" --num-gpus=%{gpus} \
        --object-store-memory=%{object_store} --min-worker-port=0 --max-worker-port=0 \
        --dashboard-agent-listen-port=0 "$@" >/dev/null
}
export -f node
run() { # a signal interrupts wait, so wait again
    "$@" & driver=$!
    while kill -0 "$driver" 2>/dev/null; do wait "$driver"; done
    wait "$driver"
}
stop() { signal=$1; kill -s "$1" "$driver" 2>/dev/null || exit 75; }
may_repeat() { # the driver alone was interrupted: something else may do so each time
    [ -z "$signal" ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 100 ]
}
finish() { # end Ray, remove its files, and queue the job again if it was interrupted
    code=$?
    trap '' USR1 TERM
    jobs -p | xargs -r kill 2>/dev/null
    for ((tenths = 0; tenths < 100; tenths++)); do [ -n "$(jobs -pr)" ] || break; sleep 0.1; done
    jobs -pr | xargs -r kill -9 2>/dev/null # the job itself has no more time
    rm -rf "$tmp"
%{clean_nodes}    if [[ $code == 75 || $code == 138 ]] && { [ "$signal" = USR1 ] || may_repeat; }; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
    exit "$code"
}
trap finish EXIT
trap 'stop USR1' USR1 # from Slurm, before the time limit: write checkpoints, continue in the next job
trap 'stop TERM' TERM # from scancel or a preemption: the same, but the job is not queued again

node --head --port=0 --include-dashboard=false%{client_port} & head=$!
until [ -s "$tmp/ray/ray_current_cluster" ]; do
    kill -0 "$head" 2>/dev/null || exit 69
    sleep 0.2
done
address=$(<"$tmp/ray/ray_current_cluster")
%{start_nodes}run %{command} --address "$address"
