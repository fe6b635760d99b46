#!/bin/sh
# Reloads an HAProxy in master-worker mode by a signal that can't be lost: `reload_command: sh deploy/signal.sh`.
#
#   PID  the file with the number of its master      /run/haproxy.pid
#
# From its start until the new worker runs, a master ignores SIGUSR2, and a reload asked for in that time never happens (seen with
# HAProxy 2.6). So the signal waits until the master listens for it.
set -eu
: "${PID:=/run/haproxy.pid}"
pid=$(cat "$PID")

tries=0
while :; do
    if [ ! -r "/proc/$pid/status" ]; then
        echo "no process $pid, which $PID names: is HAProxy running?" >&2
        exit 1
    fi
    caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$pid/status")
    # SIGUSR2 is number 12, so its bit is 0x800.
    [ $((0x$caught & 0x800)) -eq 0 ] || break
    tries=$((tries + 1))
    if [ "$tries" -ge 2000 ]; then
        echo "HAProxy's master does not listen for SIGUSR2: is $pid, from $PID, a master (haproxy -W)?" >&2
        exit 1
    fi
    sleep 0.01
done
kill -USR2 "$pid"
