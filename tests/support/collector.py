"""A collector for tests: takes OTLP over HTTP, decodes it with OpenTelemetry's own messages, and writes down what it got.

    collector.py PORT LOG [CERTIFICATE KEY]

Each request to any path becomes a line of JSON in LOG. PUT /answers with a JSON list sets what the next requests are answered, in order; after
that, everything is taken. An answer has a "status" and may have "headers", a "message" and a number of "rejected" spans.
"""

import base64
import gzip
import http.server
import json
import ssl
import sys
import threading
import time

from google.protobuf.json_format import MessageToDict
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

LOCK = threading.Lock()
ANSWERS = []


def readable(message):
    """The message as JSON, with ids in hex instead of base64."""
    document = MessageToDict(message, preserving_proto_field_name=True, use_integers_for_enums=True)
    for resource_spans in document.get("resource_spans", []):
        for scope_spans in resource_spans.get("scope_spans", []):
            for span in scope_spans.get("spans", []):
                for key in ("trace_id", "span_id", "parent_span_id"):
                    if key in span:
                        span[key] = base64.b64decode(span[key]).hex()
    return document


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer's head and body in one packet each would wait for an acknowledgement between them.
    disable_nagle_algorithm = True

    def do_PUT(self):
        with LOCK:
            ANSWERS[:] = json.loads(self.body())
        self.answer({"status": 204}, b"")

    def do_POST(self):
        body = self.body()
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        line = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "client": self.client_address[1],
            "at": time.time(),
            "request": readable(request),
        }
        with LOCK:
            answer = ANSWERS.pop(0) if ANSWERS else {"status": 200}
            line["status"] = answer["status"]
            with open(sys.argv[2], "a") as log:
                log.write(json.dumps(line) + "\n")
        self.answer(answer, self.message(answer).SerializeToString())

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"]))

    @staticmethod
    def message(answer):
        message = answer.get("message", "")
        if answer["status"] != 200:
            return Status(code=3, message=message)
        response = ExportTraceServiceResponse()
        if answer.get("rejected") or message:
            response.partial_success.rejected_spans = answer.get("rejected", 0)
            response.partial_success.error_message = message
        return response

    def answer(self, answer, body):
        self.send_response(answer["status"])
        self.send_header("Content-Type", "application/x-protobuf")
        if answer["status"] != 204:
            self.send_header("Content-Length", str(len(body)))
        for name, value in answer.get("headers", {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Collector)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
