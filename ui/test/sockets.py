"""Debian's websockets and autobahn against `eyrie bench echo --deflate`.

usage: sockets.py websockets|autobahn URL
"""
import asyncio
import os
import sys

TEXTS = ["", "x", "Grüße, 世界 🦅", "ab" * 40_000]
BLOBS = [b"", b"\x00\xff", os.urandom(70_000), bytes(3 << 20)]


async def with_websockets(url):
    import websockets
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate

    offers = [
        None,
        [Deflate()],
        [Deflate(client_max_window_bits=True)],
        [Deflate(server_max_window_bits=9, client_max_window_bits=9)],
        [Deflate(server_no_context_takeover=True, client_no_context_takeover=True, server_max_window_bits=12)],
    ]
    for offer in offers:
        async with websockets.connect(url, compression=None, extensions=offer, max_size=None) as c:
            assert bool(c.extensions) == bool(offer), (offer, c.extensions)
            for m in TEXTS + BLOBS:
                await c.send(m)
                got = await c.recv()
                assert got == m, (offer, len(m), len(got))
            await c.send(["frag", "", "ment", "ed ✓"])
            assert await c.recv() == "fragmented ✓"
            for i in range(300):
                await c.send(f"message {i} " * 30)
            for i in range(300):
                assert await c.recv() == f"message {i} " * 30
            await (await c.ping(b"are you there"))
            await c.close(4001, "bye")
            assert (c.close_code, c.close_reason) == (4001, ""), (c.close_code, c.close_reason)


async def with_autobahn(url):
    from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
    from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept, PerMessageDeflateResponse, PerMessageDeflateResponseAccept

    loop = asyncio.get_running_loop()
    for offers in ([], [PerMessageDeflateOffer()], [PerMessageDeflateOffer(True, True, True, 9), PerMessageDeflateOffer()],
                   [PerMessageDeflateOffer(request_max_window_bits=10)]):
        done = loop.create_future()
        todo = [(m.encode(), False) for m in TEXTS] + [(b, True) for b in BLOBS]
        left = list(todo)

        class Peer(WebSocketClientProtocol):
            def onOpen(self):
                if bool(self.websocket_extensions_in_use) != bool(offers):
                    done.set_exception(AssertionError(f"{offers}: in use {self.websocket_extensions_in_use}"))
                for p, binary in todo:
                    self.sendMessage(p, isBinary=binary, fragmentSize=None if len(p) < 100 else 5000)

            def onMessage(self, p, isBinary):
                if done.done():
                    return
                if (p, isBinary) != left[0]:
                    done.set_exception(AssertionError(f"{offers}: {len(p)} bytes, want {len(left[0][0])}"))
                left.pop(0)
                if not left:
                    self.sendClose(3456, "enough")

            def onClose(self, clean, code, reason):
                if not done.done():
                    done.set_result((clean, self.remoteCloseCode))

        f = WebSocketClientFactory(url)
        f.protocol = Peer
        accept = lambda r: PerMessageDeflateResponseAccept(r) if isinstance(r, PerMessageDeflateResponse) else None
        f.setProtocolOptions(perMessageCompressionOffers=offers, perMessageCompressionAccept=accept, failByDrop=False)
        await loop.create_connection(f, f.host, f.port)
        assert await asyncio.wait_for(done, 60) == (True, 3456)


asyncio.run({"websockets": with_websockets, "autobahn": with_autobahn}[sys.argv[1]](sys.argv[2]))
