#!/bin/sh
# HAProxy that reloads itself whenever its configuration changes, told by nobody: for a synapse-rs whose reload_command does nothing.
# Needs inotify-tools.
#
#   CONFIG  its configuration       /etc/haproxy/haproxy.cfg
set -eu
: "${CONFIG:=/etc/haproxy/haproxy.cfg}"
name=${CONFIG##*/}
running=
watcher=
event=$(mktemp)

start() {
    if answer=$(haproxy -c -f "$CONFIG" 2>&1); then
        # The old process stops listening when the new one has begun, and ends with its last connection.
        haproxy -db -f "$CONFIG" ${running:+-sf "$running"} &
        running=$!
    else
        printf '%s\n' "$answer" 'HAProxy refuses the configuration; what ran before goes on' >&2
    fi
}

end() {
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || :
    [ -z "$running" ] || kill "$running" 2>/dev/null || :
    rm -f "$event"
}
# What HAProxy does at SIGUSR1, by which its images stop their containers: no new connections, and an end with the last one.
finish() {
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || :
    if [ -n "$running" ] && kill -USR1 "$running" 2>/dev/null; then
        wait "$running" || :
    fi
    exit 0
}
trap end EXIT
trap 'exit 0' TERM INT
trap finish USR1

if [ -s "$CONFIG" ]; then
    start
fi
# Started anew after each event, so a second event in the meantime would not be seen. synapse-rs makes one event a change, and
# leaves `restart_interval` between two.
while :; do
    # In the background, because a signal has to wait for a program in the foreground, and does not for `wait`.
    inotifywait -q -e close_write,moved_to,create --format '%f' "${CONFIG%/*}" >"$event" &
    watcher=$!
    wait "$watcher"
    watcher=
    if [ "$(cat "$event")" = "$name" ]; then
        start
    fi
done
