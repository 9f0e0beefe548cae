// uWebSockets as Bun ships it: WebSocket with its native publish, SSE by direct streams. No history.
// The one argument is the file that the address is written to.
import { renameSync, writeFileSync } from "node:fs";

const readers = new Map();
const json = { headers: { "content-type": "application/json" } };
const stream = { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } };

function subscribe(channel, request) {
  let set = readers.get(channel);
  if (!set) readers.set(channel, (set = new Set()));
  const pull = (reader) => {
    set.add(reader);
    reader.write(": open\n\n");
    reader.flush();
    return new Promise((done) => {
      request.signal.addEventListener("abort", () => {
        set.delete(reader);
        done();
      });
    });
  };
  return new Response(new ReadableStream({ type: "direct", pull }), stream);
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  async fetch(request, server) {
    const path = request.url.slice(request.url.indexOf("/", 8));
    const end = path.indexOf("/", 1);
    const [what, channel] = [path.slice(1, end), path.slice(end + 1)];
    if (what === "websocket") {
      return server.upgrade(request, { data: channel }) ? undefined : new Response("", { status: 400 });
    }
    if (what === "sse") return subscribe(channel, request);
    const data = await request.text();
    server.publish(channel, data);
    const set = readers.get(channel);
    if (set) {
      const frame = `data: ${data}\n\n`;
      for (const reader of set) {
        reader.write(frame);
        reader.flush();
      }
    }
    return new Response("{}", json);
  },
  websocket: {
    open(socket) { socket.subscribe(socket.data); },
    message() {},
    idleTimeout: 0,
    sendPings: false,
    perMessageDeflate: false,
  },
});

const file = process.argv[2];
writeFileSync(`${file}.new`, `127.0.0.1:${server.port}\n`);
renameSync(`${file}.new`, file);
