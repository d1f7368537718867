"""A reply that is lost: the work is done, the headers leave, and then the line breaks."""

from flask import Response


def lost_reply() -> Response:
    """A Flask response that ends in the middle. The client sees a connection that broke."""

    def body():
        yield b"pai"
        raise ConnectionError("the line broke here, on purpose")

    return Response(body(), headers={"Content-Length": "100"})
