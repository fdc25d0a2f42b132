// Publishes entries with the client that the first argument names, ioredis or @redis/client (node-redis), as agents in TypeScript do.
// Reads {"url", "stream", "entries"}; prints the ids.
const { readFileSync } = require("node:fs");

const { url, stream, entries } = JSON.parse(readFileSync(0, "utf8"));

async function ioredis() {
  const { Redis } = require("ioredis");
  const client = new Redis(url);
  const ids = [];
  for (const entry of entries) {
    ids.push(await client.xadd(stream, "MAXLEN", "~", 100000, "*", ...Object.entries(entry).flat()));
  }
  await client.quit();
  return ids;
}

async function nodeRedis() {
  const { createClient } = require("@redis/client");
  const client = createClient({ url });
  await client.connect();
  const TRIM = { strategy: "MAXLEN", strategyModifier: "~", threshold: 100000 };
  const ids = await Promise.all(entries.map((entry) => client.xAdd(stream, "*", entry, { TRIM })));
  await client.close();
  return ids;
}

const publish = { ioredis, "@redis/client": nodeRedis }[process.argv[2]];
publish().then((ids) => process.stdout.write(JSON.stringify(ids)));
