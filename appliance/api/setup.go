package api

import (
	"net"
	"strings"

	"eyrie/appliance/access"
)

// setup answers how to point an agent here, ready to copy: with the address
// under which the page was reached and the standing agent key.
func (q *req) setup() error {
	if !q.who.Reads(access.DefaultSpace) {
		return problem(403, "space", "The standing agent key is of the space "+access.DefaultSpace+". Make one for agents of the space "+q.who.Space+": eyrie token create NAME --space "+q.who.Space)
	}
	key, err := q.s.p.Keys.Standing("agent")
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(string(q.Host()))
	if err != nil {
		host = string(q.Host())
	}
	port := "7600"
	for _, l := range q.s.p.Host.Status().Listeners {
		if l.Name == "ingest" {
			if _, p, err := net.SplitHostPort(l.Addr); err == nil {
				port = p
			}
		}
	}
	addr := net.JoinHostPort(strings.Trim(host, "[]"), port)
	return q.json(map[string]any{
		"ingest_url": "ws://" + addr + "/v1/agent",
		"http_url":   "http://" + addr,
		"key":        key,
		"snippets":   snippets(addr, key),
	})
}

// snippets are programs that were run as they stand, with the address and key
// filled in.
func snippets(addr, key string) map[string]string {
	server := "http://" + addr
	fill := strings.NewReplacer("{SERVER}", server, "{ADDR}", addr, "{KEY}", key).Replace
	return map[string]string{
		"claude_code": fill("EYRIE_KEY={KEY} eyrie follow claude-code --server {SERVER} ~/.claude/projects"),
		"watch":       fill("EYRIE_KEY={KEY} eyrie watch --server {SERVER} -- make test"),
		"send":        fill(`EYRIE_KEY={KEY} eyrie send --server {SERVER} --agent demo --type message --msg "hello from the shell"`),
		"curl": fill(`curl -s {SERVER}/v1/events -H 'Authorization: Bearer {KEY}' \
  -d '{"events":[{"type":"message","agent":"demo","msg":"hello from curl"}]}'`),
		"python":     fill(snippetPython),
		"typescript": fill(snippetTypeScript),
		"go":         fill(snippetGo),
	}
}

var snippetPython = strings.TrimSpace(`
# pip install websockets
import asyncio, json, uuid, websockets

async def main():
    protocols = ["eyrie.v1.json", "eyrie.key.{KEY}"]
    async with websockets.connect("ws://{ADDR}/v1/agent", subprotocols=protocols) as ws:
        await ws.send(json.dumps({"op": "hello", "producer": str(uuid.uuid4()), "epoch": 1, "first": 1,
                                  "agent": {"agent": "demo-python", "role": "example"}}))
        seq = json.loads(await ws.recv())["next"]
        await ws.send(json.dumps({"op": "events", "seq": seq, "events": [
            {"type": "message", "agent": "demo-python", "msg": "hello from Python"}]}))
        print(await ws.recv())  # the ack: it is on disk

asyncio.run(main())
`)

var snippetTypeScript = strings.TrimSpace(`
// Node 22; elsewhere: npm install ws
const ws = new WebSocket("ws://{ADDR}/v1/agent", ["eyrie.v1.json", "eyrie.key.{KEY}"]);
ws.onopen = () => ws.send(JSON.stringify({ op: "hello", producer: crypto.randomUUID(), epoch: 1, first: 1,
  agent: { agent: "demo-ts", role: "example" } }));
ws.onmessage = (m) => {
  const reply = JSON.parse(m.data);
  if (reply.op === "welcome")
    ws.send(JSON.stringify({ op: "events", seq: reply.next, events: [
      { type: "message", agent: "demo-ts", msg: "hello from TypeScript" }] }));
  if (reply.op === "ack") { console.log("on disk up to", reply.seq); ws.close(); }
};
`)

var snippetGo = strings.TrimSpace(`
// go mod init demo && go get github.com/gobwas/ws github.com/google/uuid && go run .
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/google/uuid"
)

func main() {
	dialer := ws.Dialer{
		Protocols: []string{"eyrie.v1.json"},
		Header:    ws.HandshakeHeaderHTTP{"Authorization": {"Bearer {KEY}"}},
	}
	conn, _, _, err := dialer.Dial(context.Background(), "ws://{ADDR}/v1/agent")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	ask := func(message string) string {
		if err := wsutil.WriteClientText(conn, []byte(message)); err != nil {
			log.Fatal(err)
		}
		answer, err := wsutil.ReadServerText(conn)
		if err != nil {
			log.Fatal(err)
		}
		return string(answer)
	}
	fmt.Println(ask(` + "`" + `{"op":"hello","producer":"` + "`" + ` + uuid.NewString() + ` + "`" + `","epoch":1,"first":1,"agent":{"agent":"demo-go"}}` + "`" + `))
	fmt.Println(ask(` + "`" + `{"op":"events","seq":1,"events":[{"type":"message","agent":"demo-go","msg":"hello from Go"}]}` + "`" + `))
}
`)
