#!/usr/bin/env bash
# A real Slurm on this machine: munge, MariaDB, slurmdbd, slurmctld and four nodes with two pretended GPUs each.
#
#   scripts/slurm/up.sh [--light] [--for PID] [FOLDER]
#
# Everything lies in FOLDER (default ${TMPDIR:-/tmp}/watchkeeper-slurm, -light appended there) and listens on 127.0.0.1.
# Again on the same folder, it starts what is down. --light: without accounting. --for: it ends with that process, however
# that ends. `. FOLDER/env.sh` points the clients at it; scripts/slurm/down.sh ends it. Jobs are best submitted by the ordinary user $WK_USER (wkuser, made if missing).
# Settings: NODES=4 GPUS=2 MIN_JOB_AGE=300 (seconds that squeue shows an ended job) WK_USER=wkuser.
# Exit code 77: it cannot be done here, and the message says what is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
light= owner=
while [[ ${1-} == --* ]]; do
    case $1 in
        --light) light=1 ;;
        --for) owner=${2:?--for needs the number of a process} && shift ;;
        *) printf 'slurm: no option %s\n' "$1" >&2 && exit 2 ;;
    esac
    shift
done
lab=${1:-${TMPDIR:-/tmp}/watchkeeper-slurm${light:+-light}}
nodes=${NODES:-4} gpus=${GPUS:-2} user=${WK_USER:-wkuser}

if ((EUID)); then
    echo 'slurm: starting a Slurm takes root (its daemons run jobs as other users): sudo make slurm-up' >&2
    exit 77
fi
"$here/install.sh" ${light:+--light}
PATH=$PATH:/usr/sbin:/sbin
id "$user" &>/dev/null || useradd --no-create-home --home-dir / --shell /bin/bash "$user"

mkdir -p "$lab"
lab=$(cd "$lab" && pwd)
mkdir -p "$lab"/{etc,state,log,pid,spool,munge,sql}
: >"$lab/.watchkeeper-slurm"
chmod 755 "$lab" "$lab"/{etc,log,pid,spool,munge}
chmod 700 "$lab/sql"
export SLURM_CONF=$lab/etc/slurm.conf
if [[ $owner && ! -e $lab/pid/guard ]]; then
    setsid bash -c 'while [[ -d /proc/$1 && -d $3 ]]; do sleep 1; done; exec "$2/down.sh" "$3"' guard "$owner" "$here" "$lab" \
        >/dev/null 2>&1 </dev/null &
    echo $! >"$lab/pid/guard"
fi
host=$(hostname -s)
socket=$lab/munge/socket

until_true() { # what, command …
    local what=$1 left=300
    shift
    until "$@" &>/dev/null; do
        ((left--)) || { printf 'slurm: %s does not come up; look in %s/log\n' "$what" "$lab" >&2; exit 1; }
        sleep 0.05
    done
}

runs() { # name of a pid file: does that daemon of this lab run?
    local pid
    pid=$(tr -dc 0-9 2>/dev/null <"$lab/pid/$1") && [[ $pid ]] && grep -qsF "$lab" "/proc/$pid/cmdline" "/proc/$pid/environ"
}

# ── ports: a row of free ones, kept for the next start ──────────────────────────────────────────────────────────────
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
if [[ ! -s $lab/etc/port ]]; then
    while :; do
        port=$((20000 + RANDOM % 11000))
        for ((i = 0; i < nodes + 3; i++)); do taken $((port + i)) && continue 2; done
        break
    done
    echo "$port" >"$lab/etc/port"
fi
port=$(<"$lab/etc/port")

# ── configuration ───────────────────────────────────────────────────────────────────────────────────────────────────
[[ -s $lab/munge/key ]] || (umask 077 && head -c 128 /dev/urandom >"$lab/munge/key")

: >"$lab/etc/gres.conf"
for ((i = 0; i < gpus; i++)); do
    # Slurm looks at the file's type only: a device with nothing behind it will do.
    [[ -c $lab/etc/gpu$i ]] || mknod "$lab/etc/gpu$i" c 240 "$i" 2>/dev/null || { gpus=0 && break; }
done
((gpus)) && echo "NodeName=n[1-$nodes] Name=gpu File=$lab/etc/gpu[0-$((gpus - 1))]" >"$lab/etc/gres.conf"

if [[ $light ]]; then
    accounting='AccountingStorageType=accounting_storage/none'
else
    accounting="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 1))
AccountingStoragePass=$socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits,qos"
fi
# Short timers, so that faults show soon; and the linuxproc plugins, which need no cgroups.
cat >"$SLURM_CONF" <<CONF
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$socket,cred_expire=5
StateSaveLocation=$lab/state
SlurmdSpoolDir=$lab/spool/%n
SlurmctldPidFile=$lab/pid/slurmctld
SlurmdPidFile=$lab/pid/slurmd-%n
SlurmctldLogFile=$lab/log/slurmctld.log
SlurmdLogFile=$lab/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
PropagateResourceLimits=NONE
ReturnToService=2
EnforcePartLimits=ALL
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,sched_min_interval=0,batch_sched_delay=0,bf_interval=2
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=${MIN_JOB_AGE:-300}
KillWait=2
MessageTimeout=5
SlurmctldTimeout=10
SlurmdTimeout=10
BatchStartTimeout=10
InactiveLimit=0
GresTypes=gpu
$accounting
NodeName=n[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 3))-$((port + 2 + nodes))] CPUs=4 RealMemory=4000 Gres=gpu:$gpus State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=1-00:00:00 DefaultTime=60 DefMemPerCPU=100 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=short Nodes=ALL MaxTime=10 DefMemPerCPU=100 PriorityTier=1 PreemptMode=CANCEL
PartitionName=high Nodes=ALL MaxTime=INFINITE DefMemPerCPU=100 PriorityTier=10 PreemptMode=OFF
CONF
printf 'export SLURM_CONF=%q\n' "$SLURM_CONF" >"$lab/env.sh"

# ── the daemons ─────────────────────────────────────────────────────────────────────────────────────────────────────
if ! runs munged; then
    munged --force --key-file="$lab/munge/key" --socket="$socket" --pid-file="$lab/pid/munged" \
        --log-file="$lab/log/munged.log" --seed-file="$lab/munge/seed" --num-threads=4
fi
until_true munge munge --socket="$socket" --no-input

if [[ ! $light ]]; then
    if [[ ! -d $lab/sql/mysql ]]; then
        mariadb-install-db --no-defaults --user=root --datadir="$lab/sql" --skip-test-db \
            --auth-root-authentication-method=normal >"$lab/log/mariadb-install.log" 2>&1
    fi
    if ! runs mariadbd; then
        cat >"$lab/etc/first.sql" <<'SQL'
CREATE DATABASE IF NOT EXISTS slurm_acct;
CREATE OR REPLACE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct.* TO slurm@'127.0.0.1';
SQL
        setsid mariadbd --no-defaults --user=root --datadir="$lab/sql" --socket="$lab/sql/socket" \
            --pid-file="$lab/pid/mariadbd" --bind-address=127.0.0.1 --port=$((port + 2)) --skip-name-resolve \
            --init-file="$lab/etc/first.sql" --innodb-buffer-pool-size=64M --innodb-log-file-size=16M \
            --innodb-flush-log-at-trx-commit=0 --skip-innodb-doublewrite --innodb-lock-wait-timeout=900 \
            >>"$lab/log/mariadbd.log" 2>&1 </dev/null &
    fi
    cat >"$lab/etc/slurmdbd.conf" <<CONF
DbdHost=$host
DbdAddr=127.0.0.1
DbdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$socket
SlurmUser=root
PidFile=$lab/pid/slurmdbd
LogFile=$lab/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 2))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
CONF
    chmod 600 "$lab/etc/slurmdbd.conf"
    until_true MariaDB mariadb --no-defaults -h 127.0.0.1 -P $((port + 2)) -u slurm -pslurm -e 'use slurm_acct'
    runs slurmdbd || slurmdbd
    until_true slurmdbd sacctmgr --noheader show cluster
    if [[ ! $(sacctmgr --noheader show user "$user" format=user) ]]; then
        sacctmgr --immediate add cluster lab >/dev/null || true
        sacctmgr --immediate add account lab >/dev/null || true
        sacctmgr --immediate add user "$user" account=lab >/dev/null
    fi
fi

runs slurmctld || slurmctld -f "$SLURM_CONF"
until_true slurmctld scontrol show config
for ((i = 1; i <= nodes; i++)); do
    mkdir -p "$lab/spool/n$i"
    runs "slurmd-n$i" || slurmd -f "$SLURM_CONF" -N "n$i"
done
all_answer() { [[ $(sinfo --noheader --Node --partition=debug --format=%t | grep -cE '^(idle|mix|alloc|comp)$') == "$nodes" ]]; }
until_true 'a node' all_answer
printf 'slurm: up in %s; type: . %s/env.sh\n' "$lab" "$lab"
