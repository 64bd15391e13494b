#!/bin/bash -p
#SBATCH --time=10


# Watchkeeper's wrapper of attempt token-plain: runs it at most once, and records its end.

wk_refuse() { # code, why
    wk_twice rm -f "$wk_temporary"
    printf 'watchkeeper: not run: %s\n' "$2" >&"$wk_err"
    exit "$1"
}

# These two leave their answer in wk_word: a subshell for each would cost more than they do.
wk_plain() { # value: what may stand in JSON as it is
    wk_word=${1//[^A-Za-z0-9._:+-]/_}
}

wk_now() {
    TZ=UTC0 printf -v wk_word '%(%Y-%m-%dT%H:%M:%SZ)T' -1
}

# A claim, as far as every claim has it, into wk_mine; its beginning, up to the job's id, into wk_owner.
wk_describe() { # the job's id, restart count
    wk_plain "$wk_scheduler"
    wk_mine="{\"scheduler\":\"$wk_word\""
    wk_plain "${SLURM_CLUSTER_NAME-}"
    wk_mine+=",\"cluster\":\"$wk_word\",\"job_id\":\"$1\""
    wk_owner="$wk_mine,"
    wk_plain "$wk_host"
    wk_mine+=",\"restart\":$2,\"host\":\"$wk_word\""
    wk_plain "$wk_boot"
    wk_mine+=",\"boot_id\":\"$wk_word\",\"nonce\":\"$wk_nonce\",\"pid\":$$"
    wk_now
    wk_mine+=",\"time\":\"$wk_word\"}"
}

# Do something that may be done twice, and do it again where the disk refused it: a file server may fail over just now.
wk_twice() { # command, arguments
    local why= first
    # A function runs in this shell, and leaves in `why` what a program said: a subshell would cost more than it does.
    if [[ $1 == wk_* ]]; then
        "$@" && return
    else
        why=$(exec "$@" 2>&1 >/dev/null) && return
    fi
    first=${why:-could not write in $wk_attempt}
    "$@" || return
    printf 'watchkeeper: at the first try: %s; the second try worked: check that disk\n' "$first" >&"$wk_err"
}

# The first line of a file, into wk_line; "" where it cannot be read at a second try either.
wk_read() { # file
    wk_line=
    IFS= read -r wk_line <"$1" && return
    [[ -s $1 ]] && IFS= read -r wk_line <"$1" || return
    printf 'watchkeeper: could not read %s at the first try; the second try worked: check that disk\n' "$1" >&"$wk_err"
}

wk_put() { # line
    printf '%s\n' "$1" >"$wk_temporary" && why=$(exec sync "$wk_temporary" 2>&1 >/dev/null)
}

# Make the file hold the line, whole or not at all. The exit status of ln can lie both ways over NFS: only reading the
# file back tells. Writing first also makes this node look at the folder afresh.
wk_prepare() { # line
    wk_twice wk_put "$1"
    wk_read "$wk_temporary" && [[ $wk_line == "$1" ]]
}

wk_publish() { # name, line
    wk_twice ln "$wk_temporary" "$wk_attempt/$1"
    wk_twice sync "$wk_attempt"
    wk_read "$wk_attempt/$1" && [[ $wk_line == "$2" ]]
}

# Whether an execution was the last one that is needed. To another job, and to the same one not started again, any end is
# one. A job that its scheduler starts again (requeue, RequeueExit, preemption, a lost node) has finished where its script
# ended with 0, and what it promised is there; where it promised nothing, unless the restart was asked for before that end.
wk_finished() { # execution
    local record=
    [[ -e $wk_attempt/exit.$1 ]] || return 1
    wk_read "$wk_attempt/exit.$1"
    record=$wk_line
    ((wk_restart > 0)) && [[ $record == *"\"job_id\":\"$wk_job\""* ]] || return 0
    [[ $record == *'"exit_code":0,'* ]] || return 1
    if wk_promises; then
        wk_keeps_promises
        case $? in
            0) return 0 ;;
            1) return 1 ;;
        esac
    fi
    [[ $record != *'"interrupted":true'* ]]
}

# The tasks of an array promise together, and none of them anything alone.
wk_promises() {
    local promises=()
    [[ ! ${SLURM_ARRAY_TASK_ID-} ]] && ((${#promises[@]}))
}

# Succeeds where each thing promised is there and not empty; 1: something is missing; 2: none of it is newer than the claim.
wk_keeps_promises() {
    local promises=() patterns pattern place kept fresh=
    for patterns in "${promises[@]}"; do
        kept=
        while IFS= read -r pattern; do
            while IFS= read -r place; do
                wk_holds "$place" && kept=1
            done < <(compgen -G "$pattern")
        done <<<"$patterns"
        [[ $kept ]] || return 1
    done
    [[ $fresh ]] || return 2
}

wk_holds() { # path: a file that is not empty, or a folder with one in it; sets `fresh` where that is new
    local file holds=1
    while IFS= read -r file; do
        [[ -f $file && -s $file ]] || continue
        holds=0
        [[ $file -ot $wk_attempt/claim.1 ]] || fresh=1
    done < <(shopt -s globstar nullglob && printf '%s\n' "$1" "$1"/**)
    return "$holds"
}

# The scheduler may have been asked to start this job again by the script itself, and its TERM come only after the end. If
# it does so because it has lost this node, the job is not COMPLETING, and an end with 0 is one.
wk_was_requeued() {
    local told=
    [[ $wk_scheduler == slurm* && $wk_code == 0 && $wk_interrupted == false ]] || return
    wk_promises && return
    told=$(env -u SLURM_CLUSTERS timeout 10 scontrol --oneliner show job "$wk_own_id" </dev/null)
    [[ $told == *' JobState=COMPLETING '* && $told =~ \ Restarts=([0-9]+) ]] || return
    ((BASH_REMATCH[1] > wk_restart)) && wk_interrupted=true
}

# Slurm may start a job again while its last execution lives on, on a node that the controller lost. Wait for the end of
# that one, or until its heartbeat is stale by the file server's clock. Succeeds when there is something new to look at.
wk_await() { # execution, its claim
    local beat="$wk_attempt/heartbeat.$1" sign="$wk_attempt/claim.$1" own="$wk_temporary-now" now= last= said= stale=
    ((0 == 0)) && return 1
    [[ -e $wk_attempt/exit.$1 ]] && return 1 # it was preempted or requeued, and has been looked at
    exec {wk_never}<> <(:)
    while [[ ! -e $wk_attempt/exit.$1 ]]; do
        [[ -e $beat ]] && sign=$beat
        # Opening a file makes NFS look at it afresh.
        IFS= read -r _ <"$sign"
        wk_twice wk_touch "$own"
        now=$(stat -c %Y "$own") && last=$(stat -c %Y "$sign") && rm -f "$own" || wk_refuse 213 "cannot see $sign"
        ((now - last > 0)) && stale=1 && break
        [[ $said ]] || printf 'watchkeeper: waiting: execution %s may still be alive: %s\n' "$1" "$2" >&"$wk_err"
        said=1
        read -rt 1 -u "$wk_never"
    done
    exec {wk_never}>&-
    [[ ! $stale ]]
}

# A process's start time, which with its number names it; nothing for one that has ended.
wk_start_of() { # process
    local stat=
    wk_start=
    IFS= read -r stat <"/proc/$1/stat" || return
    read -ra stat <<<"${stat##*) }"
    [[ ${stat[0]} == [ZX] ]] || wk_start=${stat[19]}
}

# As long as the script lives, even without the wrapper: beat, and give way when a later execution has been let in after
# all. Then wake the wrapper. It has no traps: after one, `read -t` forgets its time.
wk_watch() { # the script's process, its start time
    # Many jobs end at once: the first looks follow each other soon, and all later ones after 0.2 s.
    local next=0 wk_start= pauses=(0.005 0.01 0.02 0.04 0.08 0.1) looks=0
    trap '' $wk_signals
    exec {wk_never}<> <(:)
    while wk_start_of "$1" && [[ $wk_start == "$2" ]]; do
        if ((0 && SECONDS >= next)); then
            # Standard error is closed here: what fails twice is written again at the next beat.
            wk_touch "$wk_attempt/heartbeat.$wk_execution" || wk_touch "$wk_attempt/heartbeat.$wk_execution"
            [[ -e $wk_attempt/claim.$((wk_execution + 1)) ]] && kill -s TERM "$1"
            next=$((SECONDS + 1))
        fi
        read -rt "${pauses[looks++]:-0.2}" -u "$wk_never"
        # A signal that comes just before the wrapper's `read` is noted only after it: about once a second it looks up.
        ((looks % 5)) || echo >&"$wk_heard"
    done
    echo >&"$wk_heard"
}

wk_claim() {
    local wk_mine wk_owner last i wk_again='; to run it again, submit the script itself'
    wk_promises && wk_again='; to run it again, move away what it left and type the same watchkeeper run'
    wk_describe "$wk_job" "$wk_restart"
    wk_prepare "$wk_mine" || wk_refuse 213 "cannot write in $wk_attempt"
    while :; do
        wk_execution=1
        while [[ -e $wk_attempt/claim.$wk_execution ]]; do ((wk_execution++)); done
        for ((i = 1; i < wk_execution; i++)); do
            wk_finished "$i" && wk_refuse 212 "this attempt has ended; job $wk_job is not needed$wk_again"
        done
        if ((wk_execution > 1)); then
            wk_read "$wk_attempt/claim.$((wk_execution - 1))"
            last=$wk_line
            if [[ $last == "$wk_mine" ]]; then ((wk_execution--)) && break; fi
            [[ $last =~ \"job_id\":\"([^\"]*)\".*\"restart\":([0-9]+) ]] ||
                wk_refuse 213 "claim.$((wk_execution - 1)) is unreadable in $wk_attempt"
            [[ ${BASH_REMATCH[1]} ]] || wk_refuse 211 "this attempt was closed by its submitter"
            [[ $last == "$wk_owner"* ]] || wk_refuse 211 "another job has this attempt; job $wk_job is its twin"
            ((wk_restart > BASH_REMATCH[2])) || wk_refuse 211 "job $wk_job has this attempt already"
            # What it left may have come while we waited.
            wk_await $((wk_execution - 1)) "$last" && continue
        fi
        wk_publish "claim.$wk_execution" "$wk_mine" && break
        [[ -e $wk_attempt/claim.$wk_execution ]] || wk_refuse 213 "cannot make a hard link in $wk_attempt"
    done
    for ((i = 1; i < wk_execution; i++)); do
        wk_finished "$i" && wk_refuse 212 "this attempt ended just now; job $wk_job is not needed$wk_again"
    done
    wk_twice rm -f "$wk_temporary"
}

# The tasks of an array have one attempt together, which the array claims by whichever task comes first, and a folder each.
wk_claim_array() { # the array's id
    local wk_mine wk_owner last=
    wk_describe "$1" 0
    wk_prepare "$wk_mine" || wk_refuse 213 "cannot write in $wk_attempt"
    [[ -e $wk_attempt/claim.1 ]] || wk_publish claim.1 "$wk_mine"
    wk_read "$wk_attempt/claim.1" || wk_refuse 213 "claim.1 is unreadable in $wk_attempt"
    last=$wk_line
    [[ $last == *'"job_id":"",'* ]] && wk_refuse 211 "this attempt was closed by its submitter"
    [[ $last == "$wk_owner"* ]] || wk_refuse 211 "another job has this attempt; job $1 is its twin"
    wk_twice rm -f "$wk_temporary"
}

# Whether a variable holds a secret, by its name or its value's form. The caller has set LC_ALL=C: to set it for each
# variable costs as much as to look at one.
wk_is_secret() { # name, value
    [[ $wk_any && $2 =~ $wk_values ]] && return
    [[ ${1^^} =~ $wk_names && ! ${1^^} =~ $wk_none ]] || return
    [[ ${1^^} == *PASS* || ! $2 =~ ^([0-9]{0,9}|true|false)$ ]]
}

# Which variables hold a secret: their names, into wk_secret.
wk_find_secrets() {
    local LC_ALL=C wk_name wk_all= wk_any= wk_values='(^|[^A-Za-z0-9_])((hf_)[A-Za-z0-9]{16,}|(ghp_|gho_|ghu_|ghs_|ghr_)[A-Za-z0-9]{16,}|(github_pat_)[A-Za-z0-9_]{16,}|(glpat-|gldt-|glrt-|glptt-|glcbt-|gloas-)[A-Za-z0-9_.-]{16,}|(sk-proj-|sk-ant-|sk-or-|sk-svcacct-|sk-admin-|sk-lf-)[A-Za-z0-9_-]{12,}|(sk-)[A-Za-z0-9]{20,}|(xoxa-|xoxb-|xoxe-|xoxo-|xoxp-|xoxr-|xoxs-|xapp-)[A-Za-z0-9-]{10,}|(AKIA|ASIA)[A-Z0-9]{12,}|(AIza)[A-Za-z0-9_-]{30,}|(ya29[.])[A-Za-z0-9_-]{20,}|(eyJ)[A-Za-z0-9_-]{8,}[.][A-Za-z0-9_-]{8,}([.][A-Za-z0-9_-]*)?|(npm_)[A-Za-z0-9]{20,}|(pypi-)[A-Za-z0-9_-]{20,}|(wandb_v1_)[A-Za-z0-9_]{16,}|(gsk_)[A-Za-z0-9]{20,}|(nvapi-)[A-Za-z0-9_-]{20,}|(sk_live_|sk_test_|rk_live_|rk_test_)[A-Za-z0-9]{16,}|(SG[.])[A-Za-z0-9_-]{16,}[.][A-Za-z0-9_-]{16,}|(dapi)[0-9a-f]{32}|(hvs[.]|hvb[.])[A-Za-z0-9_-]{20,}|(lsv2_pt_|lsv2_sk_)[A-Za-z0-9_]{20,}|(https://hooks[.]slack[.]com/|http://hooks[.]slack[.]com/)[A-Za-z0-9/_-]+|(https://discord[.]com/api/webhooks/|https://discordapp[.]com/api/webhooks/)[A-Za-z0-9/_-]+)|-----BEGIN [A-Z ]{0,40}PRIVATE KEY|[?&;](sig|signature|Signature|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|X-Goog-Signature|AWSAccessKeyId|token|access_token|api_key|apikey|key|auth|password)=[^&]|(Bearer|Basic) +[A-Za-z0-9]{8}|://[^/[:space:]]*@|://[^[:space:]]*:[^[:space:]]*@' wk_names='KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE|SESSION|BEARER|DSN|WEBHOOK|JWT|_PWD$|(^|_)PAT(_|$)|CONNECTION_STRING' wk_none='^TOKENIZERS_PARALLELISM$'
    # All values at once first: where none has the form of a secret, none is looked at alone, which takes milliseconds each.
    for wk_name in "${wk_defined[@]}"; do wk_all+=$'\n'${!wk_name}; done
    [[ $wk_all =~ $wk_values ]] && wk_any=1
    for wk_name in "${wk_defined[@]}"; do
        wk_is_secret "$wk_name" "${!wk_name}" && wk_secret[$wk_name]=1
    done
}

# What the script finds in its environment, for whoever must make it again; nothing that looks like a secret.
wk_keep_environment() { # file
    local wk_name wk_defined
    local -A wk_secret=()
    # By the file itself: bash has these names only as output, and a pipe would need a process.
    compgen -e >"$1" && mapfile -t wk_defined <"$1" || return
    wk_find_secrets
    for wk_name in "${wk_defined[@]}"; do
        if [[ ${wk_secret[$wk_name]-} ]]; then
            printf '%s=<redacted>\n' "$wk_name" || return
        else
            printf '%s=%q\n' "$wk_name" "${!wk_name}" || return
        fi
    done >"$1"
}

wk_save_environment() {
    local mask= failed=
    # Without a process, where the kernel says it (since Linux 4.7).
    { IFS= read -r _ && read -r _ mask; } <"/proc/$$/status"
    [[ $mask =~ ^[0-7]+$ ]] || mask=$(umask)
    umask 077
    wk_keep_environment "$wk_attempt/environment.$wk_execution" || failed=1
    umask "$mask"
    [[ ! $failed ]]
}

# What this job was queued behind may have failed: then nobody is to run this attempt.
wk_check_needs() {
    local need record=
    for need in ; do
        local last=1
        while [[ -e $need/claim.$((last + 1)) ]]; do ((last++)); done
        record=
        [[ -e $need/exit.$last ]] && wk_read "$need/exit.$last" && record=$wk_line
        [[ $record == *'"exit_code":0,'* ]] && continue
        [[ -e $wk_attempt/claim.1 ]] && return
        wk_plain "$wk_scheduler"
        record="{\"scheduler\":\"$wk_word\",\"job_id\":\"\",\"nonce\":\"$wk_nonce\""
        wk_now
        record+=",\"pid\":$$,\"time\":\"$wk_word\"}"
        wk_prepare "$record" && wk_publish claim.1 "$record" &&
            wk_refuse 214 "what it was queued behind has not ended well: $need"
        return
    done
}

wk_touch() { # file
    printf . >"$1"
}

wk_modified_ms() { # file: when it was written, by the file server's clock
    local at=
    at=$(stat -c %.3Y "$1") && [[ $at =~ ^[0-9]+[.,][0-9]{3}$ ]] && wk_ms=${at/[.,]/}
}

# Jobs of one experiment begin a little apart: whoever makes the next start.N, as a claim is made, begins; and nobody makes
# it before start.N-1 is old enough. A courtesy: whatever is amiss with it, the job begins. Nothing is claimed meanwhile.
wk_await_gap() {
    local folder='' own="$wk_temporary-now" began=$SECONDS slot last now wk_ms= said=
    ((0 == 0)) && return
    wk_twice mkdir -p "$folder" || return
    exec {wk_never}<> <(:)
    while ((SECONDS - began < 120)); do
        last=0
        for slot in "$folder"/start.*; do
            slot=${slot##*.}
            [[ $slot =~ ^[1-9][0-9]{0,9}$ ]] && ((slot > last)) && last=$slot
        done
        while [[ -e $folder/start.$((last + 1)) ]]; do ((last++)); done
        wk_twice wk_touch "$own" && wk_modified_ms "$own" && now=$wk_ms || break
        # A time that lies further ahead than one gap is no time.
        if ((last == 0)) || ! wk_modified_ms "$folder/start.$last" ||
            ((now - wk_ms >= 0 || wk_ms - now > 0)); then
            wk_prepare "$wk_nonce" || break
            wk_twice ln "$wk_temporary" "$folder/start.$((last + 1))"
            wk_read "$folder/start.$((last + 1))" || break
            wk_twice rm -f "$wk_temporary"
            if [[ $wk_line == "$wk_nonce" ]]; then
                wk_twice rm -f "$folder/start.$((last - 8))"
                break
            fi
        fi
        [[ $said ]] || printf 'watchkeeper: waiting: jobs of this experiment begin 0 ms apart
' >&"$wk_err"
        said=1
        read -rt 0.10 -u "$wk_never"
    done
    wk_twice rm -f "$own" "$wk_temporary"
    exec {wk_never}>&-
}

# A trap only notes the signal, and wakes wk_run: while a shell is in `wait`, bash loses one of two that come together.
wk_note() { # signal
    wk_caught=1
    [[ $1 == TERM ]] && wk_interrupted=true
    wk_queue+=("$1")
    echo >&"$wk_heard"
}

# Slurm signals this shell alone (scancel --batch, --signal=B:), or everything in the job: then the script has it already,
# and must not get it twice. A bystander tells: what was for everything has ended it. CONT ends nothing, and does no harm.
wk_pass_on() {
    local signals=() signal all=
    sleep 0.3
    signals=("${wk_queue[@]}")
    wk_queue=("${wk_queue[@]:${#signals[@]}}")
    if ((0)) && ! kill -s 0 "$wk_bystander"; then
        all=1
        wk_place_bystander
    fi
    for signal in "${signals[@]}"; do
        [[ $all && $signal != CONT ]] || kill -s "$signal" "$wk_child"
    done
}

# A recorder whose filesystem hung may have died while its last bytes waited on this node (core/disk/spill.py).
wk_bring_over() {
    local place word kept line form= target= base= attempt= owner= there wk_start=
    for place in "${TMPDIR:-/tmp}" /tmp /dev/shm; do
        for word in "$place/watchkeeper-spill-$UID"/*.word; do
            kept=${word%.word}.bytes
            [[ -O $word && -O $kept ]] || continue
            for line in form target base attempt owner; do IFS= read -r "$line"; done <"$word"
            [[ $form == 'watchkeeper spill 1' && $attempt == "$wk_attempt" && -f $target ]] || continue
            [[ $base =~ ^[0-9]+$ && $owner =~ \"pid\":([0-9]+),\"start_ticks\":([0-9]+) ]] || continue
            wk_start_of "${BASH_REMATCH[1]}"
            [[ $wk_start == "${BASH_REMATCH[2]}" ]] && continue
            # Whoever has gone on with the file is let be; the next recorded run on this node keeps the bytes beside it.
            there=$(($(stat -c %s "$target") - base))
            ((there <= 0)) || cmp -s -i "$base" -n "$there" "$target" "$kept" || continue
            (
                set -o pipefail
                tail -c +$((base + 1)) "$kept" | tr -d '\0' |
                    dd of="$target" oflag=seek_bytes seek="$base" conv=notrunc,fsync
            ) && rm -f "$word" "$kept"
        done
    done
}

wk_place_bystander() {
    (trap - INT QUIT && exec sleep infinity) </dev/null >/dev/null {wk_err}>&- {wk_heard}>&- &
    wk_bystander=$!
}

wk_run() { # arguments of the script
    local wk_child= wk_bystander= wk_watcher= wk_caught= wk_queue=() wk_start= born signal option options=()
    local wk_signals='TERM INT QUIT HUP USR1 USR2 ALRM XCPU CONT' wk_heard=
    exec {wk_heard}<> <(:)
    for signal in $wk_signals; do
        trap "wk_note $signal" "$signal"
    done
    # A background child would ignore INT and QUIT, be one shell deeper, and see this shell's options: a bare one does not.
    while IFS= read -r -d '' option; do
        [[ $option == @(SHELLOPTS|BASHOPTS|POSIXLY_CORRECT)=* ]] && options+=("$option")
    done </proc/$$/environ
    ((0)) && wk_place_bystander
    (
        trap - INT QUIT
        ((SHLVL--))
        exec ${options[0]+env "${options[@]}"} /bin/bash /data/exp/.watchkeeper/runs/r8/1/script "$@" 2>&"$wk_err" {wk_err}>&- {wk_heard}>&-
    ) <&0 &
    wk_child=$!
    wk_start_of "$wk_child"
    born=$wk_start
    wk_watch "$wk_child" "$born" </dev/null >/dev/null {wk_err}>&- &
    wk_watcher=$!
    while [[ $born ]] && wk_start_of "$wk_child" && [[ $wk_start == "$born" ]]; do
        ((${#wk_queue[@]})) && wk_pass_on && continue
        read -r -u "$wk_heard" _
    done
    # A signal ends `wait` early, or the next `wait`, with a code that is not the child's. The code of an ended child is
    # remembered: it is the one that two waits in a row give with no signal since before the first.
    while :; do
        wk_caught=
        wait "$wk_child"
        wk_code=$?
        wait "$wk_child"
        [[ $? == "$wk_code" && ! $wk_caught ]] && break
    done
    for signal in $wk_watcher $wk_bystander; do kill -s KILL "$signal" && wait "$signal"; done
}

# The sizes, times and hashes of the checkpoints that were promised, for their passports: nobody has to read them again on
# a login node. It comes after the exit record, so that the time limit can take nothing but the hashes. A link to a file
# is hashed as that file. A task of an array hashes what was written since it began: each makes only some.
wk_hash() {
    local checkpoints=() patterns pattern place places=() file="$wk_temporary-hashes" newer=()
    # Without instructions for SHA in the processor, sha256sum takes four times as long as openssl.
    local hashes='sum=$(openssl dgst -sha256 -r <"$1" || sha256sum <"$1") && printf "%s  %s\0" "${sum%% *}" "$1"'
    ((${#checkpoints[@]})) && [[ $wk_code == 0 ]] || return
    for patterns in "${checkpoints[@]}"; do
        while IFS= read -r pattern; do
            while IFS= read -r place; do places+=("$place"); done < <(compgen -G "$pattern")
        done <<<"$patterns"
    done
    ((${#places[@]})) || return
    [[ ${SLURM_ARRAY_TASK_ID-} ]] && newer=(-newer "$wk_attempt/claim.$wk_execution")
    find -H "${places[@]}" \( -type f -o -xtype f \) "${newer[@]}" -print0 >"$file.names"
    xargs -0 -r stat -L --printf 'file %s %.9Y %n\0' -- <"$file.names" >"$file" &&
        xargs -0 -r -n 1 -P "$(nproc)" "$BASH" -p -c "$hashes" - <"$file.names" >>"$file" &&
        [[ -s $file ]] && ln "$file" "$wk_attempt/hashes.$wk_execution"
    rm -f "$file" "$file.names"
}

wk_main() {
    local wk_attempt=/data/exp/.watchkeeper/runs/r8/1 wk_scheduler=local wk_job= wk_restart=${SLURM_RESTART_COUNT:-0}
    local wk_own_id= wk_never= wk_line= wk_word=
    local wk_host= wk_boot= wk_nonce= wk_temporary= wk_execution=0 wk_code=0 wk_err record wk_interrupted=false
    exec {wk_err}>&2 2>/dev/null
    set +o posix
    wk_plain "${SLURM_JOB_ID:-${WATCHKEEPER_JOB_ID-}}"
    wk_job=$wk_word
    [[ $wk_job ]] || wk_refuse 213 "no job id: start it through a scheduler"
    [[ $wk_restart =~ ^[0-9]+$ ]] || wk_refuse 213 "SLURM_RESTART_COUNT is no number"
    wk_restart=$((10#$wk_restart))
    IFS= read -r wk_nonce </proc/sys/kernel/random/uuid || wk_nonce=$(od -An -N16 -tx8 /dev/urandom)
    wk_nonce=${wk_nonce//[^0-9a-f]/}
    ((${#wk_nonce} >= 32)) || wk_refuse 213 "no random numbers here"
    IFS= read -r wk_host </proc/sys/kernel/hostname || wk_host=$(uname -n)
    IFS= read -r wk_boot </proc/sys/kernel/random/boot_id
    [[ -d $wk_attempt ]] || wk_refuse 213 "$wk_attempt is not on this node"
    [[ -r /data/exp/.watchkeeper/runs/r8/1/script ]] || wk_refuse 213 "the script's copy cannot be read in $wk_attempt"
    wk_temporary=$wk_attempt/.tmp-wrapper-$wk_nonce
    wk_check_needs
    wk_await_gap
    wk_own_id=$wk_job
    if [[ ${SLURM_ARRAY_JOB_ID-} && ${SLURM_ARRAY_TASK_ID-} ]]; then
        wk_plain "$SLURM_ARRAY_JOB_ID"
        wk_job=$wk_word
        wk_claim_array "$wk_job"
        wk_plain "$SLURM_ARRAY_TASK_ID"
        wk_job+=_$wk_word
        wk_attempt+=/task-$wk_word
        wk_twice mkdir -p "$wk_attempt" || wk_refuse 213 "cannot make $wk_attempt"
        wk_temporary=$wk_attempt/.tmp-wrapper-$wk_nonce
    fi
    wk_claim

    unset WATCHKEEPER_BATCH_SIZE WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS WATCHKEEPER_RESUME_FROM
    :
    wk_twice wk_save_environment
    export WATCHKEEPER_ATTEMPT=$wk_attempt WATCHKEEPER_JOB_ID=$wk_own_id
    wk_run "$@"
    wk_was_requeued
    wk_bring_over

    record="{\"job_id\":\"$wk_job\",\"exit_code\":$wk_code,\"execution\":$wk_execution"
    wk_now
    record+=",\"ended\":\"$wk_word\",\"nonce\":\"$wk_nonce\",\"interrupted\":$wk_interrupted}"
    wk_prepare "$record" && wk_publish "exit.$wk_execution" "$record" ||
        printf 'watchkeeper: the exit record (code %s) cannot be written in %s\n' "$wk_code" "$wk_attempt" >&"$wk_err"
    wk_twice rm -f "$wk_temporary"
    wk_hash
    exit "$wk_code"
}

wk_main "$@"
