// Node with `ws`: WebSocket only, no history.
// The one argument is the file that the address is written to.
import { renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

// The package lies in the bench's cache, which is where this was started.
const { WebSocketServer } = createRequire(`${process.cwd()}/`)("ws");
const readers = new Map();

const server = createServer({ keepAliveTimeout: 3_600_000 }, (request, response) => {
  const channel = request.url.slice("/pub/".length);
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const data = Buffer.concat(parts);
    for (const reader of readers.get(channel) ?? []) reader.send(data, { binary: false });
    response.writeHead(200, { "content-type": "application/json", "content-length": 2 }).end("{}");
  });
});
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (socket, request) => {
  const channel = request.url.slice("/websocket/".length);
  if (!readers.has(channel)) readers.set(channel, new Set());
  readers.get(channel).add(socket);
  socket.on("close", () => readers.get(channel).delete(socket));
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  const file = process.argv[2];
  writeFileSync(`${file}.new`, `127.0.0.1:${server.address().port}\n`);
  renameSync(`${file}.new`, file);
});
