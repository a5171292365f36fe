"""The broker as a process: what it says, when it refuses, how it ends."""

import os
import signal
import socket
import subprocess

import pytest

from so1s_broker import Broker, BrokerError, binary


def run(*arguments):
    return subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_after_one_line_that_says_where_it_serves(tmp_path, sign):
    with subprocess.Popen(
        [binary(), "--listen", "127.0.0.1:0", "--data-dir", tmp_path], stdout=subprocess.PIPE, text=True
    ) as process:
        address = process.stdout.readline().removeprefix("ready ").strip()
        host, port = address.split(":")
        socket.create_connection((host, int(port))).close()
        process.send_signal(sign)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["--port", "9092"], 2, "flag provided but not defined: -port"),
        (["serve"], 2, 'unexpected argument "serve"'),
        (["--listen", "9092"], 1, "--listen 9092: not HOST:PORT"),
        (["--listen", "0.0.0.0:9092"], 1, "must name one host"),
        (["--listen", ":9092"], 1, "must name one host"),
        (["--listen", "127.0.0.1:99999"], 1, "invalid port"),
        (["--listen", "127.0.0.1:0", "--data-dir", "/dev/null/x"], 1, "/dev/null"),
        (["--sync-writes"], 1, "--sync-writes needs --data-dir"),
    ],
)
def test_a_bad_command_line_is_refused_with_its_reason(arguments, status, complaint):
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (status, "")
    assert complaint in ended.stderr


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"127.0.0.1:{port}: bind: address already in use"):
            Broker(tmp_path, port=port).start()


def test_a_data_directory_serves_one_broker_at_a_time(tmp_path):
    with Broker(tmp_path), pytest.raises(BrokerError, match="another broker uses it"):
        Broker(tmp_path).start()
    with Broker(tmp_path):
        pass  # the lock ended with its holder


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill])
def test_it_leaves_no_process_and_starts_again_on_the_same_port(tmp_path, end):
    broker = Broker(tmp_path)
    broker.start()
    first, address = broker.pid, broker.bootstrap_servers
    end(broker)
    assert broker.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    with broker:
        assert broker.bootstrap_servers == address
        assert broker.pid != first


def test_a_running_broker_refuses_a_second_start(tmp_path):
    with Broker(tmp_path) as broker, pytest.raises(BrokerError, match="runs already"):
        broker.start()


def test_a_broker_that_died_by_itself_is_noticed_and_can_start_again(tmp_path):
    with Broker(tmp_path) as broker:
        dying = broker.pid
        os.kill(dying, signal.SIGKILL)
        os.waitid(os.P_PID, dying, os.WEXITED | os.WNOWAIT)
        assert broker.pid is None
        broker.start()
        assert broker.pid is not None


def test_stopping_a_stopped_broker_is_harmless(tmp_path):
    broker = Broker(tmp_path)
    broker.stop()
    broker.kill()
    assert broker.pid is None


def test_the_session_broker_answers(kafka):
    host, port = kafka.split(":")
    socket.create_connection((host, int(port))).close()
