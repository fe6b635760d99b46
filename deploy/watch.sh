#!/bin/sh
# HAProxy that reloads itself whenever its configuration changes, told by nobody: for a synapse-rs whose reload_command does nothing.
# Needs inotify-tools.
#
#   CONFIG  its configuration       /etc/haproxy/haproxy.cfg
set -eu
: "${CONFIG:=/etc/haproxy/haproxy.cfg}"
name=${CONFIG##*/}
running=

start() {
    if haproxy -c -q -f "$CONFIG"; then
        # The old process stops listening when the new one has begun, and ends with its last connection.
        haproxy -db -f "$CONFIG" ${running:+-sf "$running"} &
        running=$!
    else
        echo 'HAProxy refuses the configuration; what ran before goes on' >&2
    fi
}

trap '[ -z "$running" ] || kill "$running"; exit 0' TERM INT

[ -s "$CONFIG" ] && start
# Started anew after each event, so a second event in the meantime would not be seen. synapse-rs makes one event a change, and
# leaves `restart_interval` between two.
while changed=$(inotifywait -q -e close_write,moved_to,create --format '%f' "${CONFIG%/*}"); do
    if [ "$changed" = "$name" ]; then
        start
    fi
done
