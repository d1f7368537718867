"""An extension of the Jupyter server: what a kernel says goes to the page when it is said.

jupyter_server 2 leaves a websocket's socket as TCP makes it. A kernel answers a slider with several small messages:
busy, the new picture, idle. TCP sends the first, and holds the others back until the page's machine acknowledges it
(Nagle's algorithm), which that puts off for up to 40 ms, in the hope of a packet to send it with (delayed
acknowledgement). So a picture that is made in 5 ms would be seen after 45.

``tools/settings.py`` switches it on. A server without it is only slower.
"""


def _jupyter_server_extension_points():
    return [{"module": "servicelab.nodelay"}]


def _load_jupyter_server_extension(app):
    settings = app.web_app.settings
    settings["kernel_websocket_connection_class"] = without_delay(settings["kernel_websocket_connection_class"])


def without_delay(kind):
    """The class ``kind`` of connections between a kernel and a page, whose sockets have TCP_NODELAY."""

    class NoDelay(kind):
        def connect(self):
            self.websocket_handler.set_nodelay(True)
            return super().connect()

    return NoDelay
