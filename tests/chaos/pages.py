"""The web site of the run: pages that answer at once, late, at length, for ever, not at all or from elsewhere.

Every request is written down before it is answered, so that a page fetched twice shows. Runs as a program of its own:
    pages.py RECORD        prints its port
"""

import asyncio
import os
import sys

from record import Record

ARTICLE = b"<!doctype html><title>A page</title><h1>A page</h1><p>" + b"Some words in a row. " * 40
PIECE = b"<p>" + b"more " * 13_000
HEAD = "HTTP/1.1 {}\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n{}\r\n"
LARGE_PIECES = 48
REDIRECTS = 2


class Site:
    def __init__(self, record):
        self.record = record

    async def serve(self, reader, writer):
        try:
            await asyncio.wait_for(self.talk(reader, writer), 60)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            # A container that was killed hangs up.
            pass
        finally:
            writer.close()

    async def talk(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode("ascii", "replace")
        self.record.add("requests", path=path, key=(path.split("/") + ["", ""])[2])
        await self.answer(path, writer)

    async def answer(self, path, writer):
        kind, _, *more = path.strip("/").split("/") + [""]
        match kind:
            case "quick":
                await page(writer)
            case "slow":
                await asyncio.sleep(int(more[0]) / 1000)
                await page(writer)
            case "large":
                await head(writer, "200 OK")
                for _ in range(LARGE_PIECES):
                    await send(writer, PIECE)
            case "endless":
                await head(writer, "200 OK")
                while True:
                    await send(writer, PIECE)
                    await asyncio.sleep(0.05)
            case "drip":
                await head(writer, "200 OK")
                while True:
                    await send(writer, b".")
                    await asyncio.sleep(0.2)
            case "silent":
                await asyncio.sleep(60)
            case "redirect" if int(more[0]) < REDIRECTS:
                base = path.rsplit("/", 1)[0]
                await head(writer, "302 Found", f"Location: {base}/{int(more[0]) + 1}\r\n")
            case "redirect":
                await page(writer)
            case _:
                await page(writer, "404 Not Found")


async def head(writer, status, fields=""):
    await send(writer, HEAD.format(status, fields).encode())


async def page(writer, status="200 OK"):
    await head(writer, status, f"Content-Length: {len(ARTICLE)}\r\n")
    await send(writer, ARTICLE)


async def send(writer, some):
    writer.write(some)
    await writer.drain()


async def main(folder):
    server = await asyncio.start_server(Site(Record(folder)).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The end of standard input is the end of the run, whichever way that ended; who still waits is not answered.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
