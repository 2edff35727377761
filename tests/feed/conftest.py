import http.server
import threading

import pytest

from overparam.feed.sources.transport import Network


class Server(http.server.ThreadingHTTPServer):
    """A real HTTP server whose answers a test scripts: a function of the path and its query for each path."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes = {}
        self.asked = []
        self.agents = set()
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.address = f"http://{self.host}"

    def handle_error(self, request, client_address):
        """Clients that go away are part of the tests."""

    def network(self, *more, **fields):
        given = {"allowed": lambda address: address == "127.0.0.1", "jitter": lambda low, high: 0.0, **fields}
        return Network(frozenset({self.host, *more}), frozenset({"http"}), **given)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        from urllib.parse import parse_qsl, urlsplit

        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        self.server.asked.append((parts.path, query))
        self.server.agents.add(self.headers["User-Agent"])
        answer = self.server.routes[parts.path](query)
        if callable(answer):
            answer(self)
            return
        status, headers, body = answer if isinstance(answer, tuple) else (200, {}, answer)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()
