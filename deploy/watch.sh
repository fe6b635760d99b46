#!/bin/sh
# HAProxy that reloads itself whenever its configuration changes, told by nobody: for a synapse-rs whose reload_command does nothing.
# Needs inotify-tools.
#
#   CONFIG  its configuration       /etc/haproxy/haproxy.cfg
#   PID     where its number goes   /run/haproxy/haproxy.pid
set -eu
: "${CONFIG:=/etc/haproxy/haproxy.cfg}"
: "${PID:=/run/haproxy/haproxy.pid}"
name=${CONFIG##*/}

start() {
    # The old process stops listening when the new one has begun, and ends when its last connection does.
    if [ -s "$PID" ]; then
        haproxy -D -f "$CONFIG" -p "$PID" -sf $(cat "$PID") || echo "HAProxy refuses the configuration; the old one stays" >&2
    else
        haproxy -D -f "$CONFIG" -p "$PID" || echo "HAProxy refuses the configuration" >&2
    fi
}

stop() {
    [ -s "$PID" ] && kill $(cat "$PID")
    exit 0
}
trap stop TERM INT

[ -s "$CONFIG" ] && start
# Started anew after each event: a second event in the meantime would not be seen. synapse-rs makes one event a change, and leaves
# `restart_interval` between two.
while changed=$(inotifywait -q -e close_write,moved_to,create --format '%f' "${CONFIG%/*}"); do
    [ "$changed" = "$name" ] && start
done
