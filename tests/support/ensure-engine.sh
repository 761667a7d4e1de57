#!/bin/sh
# Makes sure that a Docker engine answers where safeurl will look for one.
#
# One that answers is used as it is. Otherwise, as root on Debian or Ubuntu, docker.io is installed and dockerd started
# by hand where no service manager did it; both are said, and both stay: stopping an engine would take the containers
# of others with it. Anywhere else, and where the environment names an engine of its own: a word on what is missing.
set -eu

host=${SAFEURL_SANDBOX_DOCKER_HOST:-${DOCKER_HOST:-}}
named=$host
if [ -z "$host" ] && [ -n "${DOCKER_SOCKET_PATH:-}" ]; then
    host="unix://$DOCKER_SOCKET_PATH"
    named=$host
fi
host=${host:-unix:///var/run/docker.sock}

say() { echo "ensure-engine: $*" >&2; }

# perl-base is on every Debian; curl and the docker command line need not be.
answers() {
    perl -MIO::Socket::UNIX -MIO::Socket::INET -e '
        alarm 5;
        my $host = shift;
        my $to = $host =~ m{^unix://(.+)} ? IO::Socket::UNIX->new(Peer => $1)
            : $host =~ m{^(?:tcp|http)://([^/]+)} ? IO::Socket::INET->new(PeerAddr => $1, Timeout => 3) : undef;
        exit 1 unless $to;
        $to->autoflush(1);
        print $to "GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n";
        my $head = <$to>;
        exit(defined $head && $head =~ m{^HTTP/1\.[01] 200 } ? 0 : 1);
    ' "$host" 2>/dev/null
}

# Within a minute; a new engine sets its storage up first.
comes_up() {
    tries=0
    while ! answers; do
        tries=$((tries + 1))
        [ "$tries" -lt 120 ] || return 1
        # A dockerd of ours that ended will not answer any more.
        if [ -n "${engine:-}" ] && ! kill -0 "$engine" 2>/dev/null; then return 1; fi
        sleep 0.5
    done
}

if answers; then
    exit 0
fi
if [ -n "$named" ]; then
    say "error: no Docker engine answers at $named, which the environment names"
    say "hint: start it, or unset SAFEURL_SANDBOX_DOCKER_HOST, DOCKER_HOST and DOCKER_SOCKET_PATH"
    exit 1
fi

family=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}" || true)
case " $family " in
*" debian "* | *" ubuntu "*) debian=yes ;;
*) debian=no ;;
esac

if ! command -v dockerd >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ] || [ "$debian" = no ]; then
        say "error: no Docker engine answers at $host, and none is installed"
        say "hint: install one (Debian, Ubuntu: apt-get install docker.io), or run this as root there"
        exit 1
    fi
    say "no Docker engine answers at $host: installing docker.io"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends docker.io >&2
    # Newer releases have the command line in a package of its own.
    if ! command -v docker >/dev/null 2>&1; then
        apt-get install -y -qq --no-install-recommends docker-cli >&2
    fi
fi
if [ "$(id -u)" != 0 ]; then
    say "error: no Docker engine answers at $host"
    say "hint: start it (systemctl start docker), and be in the group docker"
    exit 1
fi

if [ -d /run/systemd/system ]; then
    say "starting docker.service"
    systemctl start docker
    if comes_up; then exit 0; fi
    say "error: docker.service does not answer at $host"
    say "hint: journalctl -u docker"
    exit 1
fi

# Whether another engine runs in this network: one of a network of its own is none of ours.
has_neighbour() {
    for process in /proc/[0-9]*; do
        if [ "$(cat "$process/comm" 2>/dev/null)" = dockerd ] &&
            [ "$(readlink "$process/ns/net")" = "$(readlink /proc/self/ns/net)" ]; then return 0; fi
    done
    return 1
}

log=/var/log/dockerd.log
start() {
    nohup setsid dockerd "$@" >"$log" 2>&1 </dev/null &
    engine=$!
}
start
if ! comes_up; then
    # Without the right to set up a packet filter the engine ends. Our containers have no network and need none.
    say "dockerd does not come up with its own network; starting it without one"
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    # An engine without a bridge removes the default one that it finds, whoever made it.
    if has_neighbour; then
        say "error: dockerd does not come up with its own network, and without one it would take that of another engine"
        say "hint: name the other one: DOCKER_HOST=unix:///path/to/its/docker.sock; or see $log"
        exit 1
    fi
    start --bridge=none --iptables=false --ip6tables=false
    if ! comes_up; then
        say "error: dockerd does not come up; the end of $log:"
        tail -n 15 "$log" >&2
        exit 1
    fi
fi
say "started dockerd (log: $log). It stays; to stop it: kill $(cat /var/run/docker.pid 2>/dev/null || echo "$engine")"
