"""microburst between clients and servers: one proxy for each upstream given, on free ports of 127.0.0.1.

Prints their URLs as one line of JSON when all are ready, and ends when its standard input does.
"""

import asyncio
import json
import logging
import sys

from aiohttp import web
from microburst.app import make_app
from microburst.core.pipeline import Microburst


async def main() -> None:
    runners = []
    urls = []
    for upstream in sys.argv[1:]:
        app = make_app(Microburst(upstream, fired_capacity=100_000))
        # An idle connection that it closed could be about to carry a request, which would then arrive once more.
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=3600)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=0)
        await site.start()
        runners.append(runner)
        urls.append(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}")
    print(json.dumps(urls), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


logging.disable()  # clients that have given up are what is tested
asyncio.run(main())
