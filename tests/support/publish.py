"""Publishes entries with redis-py, as agents in Python do, in both protocols. Reads {"url", "stream", "entries"}; prints the ids."""

import json
import sys

import redis

asked = json.load(sys.stdin)
ids = []
for number, entry in enumerate(asked["entries"]):
    client = redis.Redis.from_url(asked["url"], decode_responses=True, protocol=2 + number % 2)
    ids.append(client.xadd(asked["stream"], entry, maxlen=100_000, approximate=True))
    client.close()
json.dump(ids, sys.stdout)
