/* A WebSocket echo and sink server that does as little as possible: one epoll,
 * one large read buffer, frames parsed in place, one send for what one read
 * answers. No limits, no checks, no timers: the floor to hold servers against.
 * Usage: bare PORT. One thread, IPv4 loopback. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ = 512 << 10, CONNS = 1 << 16 };

static struct conn { uint8_t up, sink; uint32_t kept; uint8_t *rest; } conns[CONNS];
static uint8_t buf[READ + (64 << 10)], out[2 * READ];
static volatile uint64_t seen;

/* SHA-1 of a message of 60 bytes: key and GUID of RFC 6455, 1.3. */
static void sha1(const uint8_t *m, uint8_t digest[20]) {
	uint8_t b[128] = {0};
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}, w[80];
	memcpy(b, m, 60);
	b[60] = 0x80;
	b[126] = 480 >> 8;
	b[127] = 480 & 255;
	for (int k = 0; k < 128; k += 64) {
		for (int i = 0; i < 16; i++)
			w[i] = (uint32_t)b[k + 4 * i] << 24 | b[k + 4 * i + 1] << 16 | b[k + 4 * i + 2] << 8 | b[k + 4 * i + 3];
		for (int i = 16; i < 80; i++) {
			uint32_t x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
			w[i] = x << 1 | x >> 31;
		}
		uint32_t a = h[0], c = h[1], d = h[2], e = h[3], f = h[4];
		for (int i = 0; i < 80; i++) {
			uint32_t g, q;
			if (i < 20) g = (c & d) | (~c & e), q = 0x5a827999;
			else if (i < 40) g = c ^ d ^ e, q = 0x6ed9eba1;
			else if (i < 60) g = (c & d) | (c & e) | (d & e), q = 0x8f1bbcdc;
			else g = c ^ d ^ e, q = 0xca62c1d6;
			uint32_t t = (a << 5 | a >> 27) + g + f + q + w[i];
			f = e, e = d, d = c << 30 | c >> 2, c = a, a = t;
		}
		h[0] += a, h[1] += c, h[2] += d, h[3] += e, h[4] += f;
	}
	for (int i = 0; i < 20; i++) digest[i] = h[i / 4] >> (24 - 8 * (i % 4));
}

static void upgrade(int fd, struct conn *c, char *head) {
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char in[64], accept[29] = {0}, answer[200];
	uint8_t d[21] = {0};
	char *key = strcasestr(head, "sec-websocket-key: ");
	if (!key) { close(fd); return; }
	memcpy(in, key + 19, 24);
	memcpy(in + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
	sha1((uint8_t *)in, d);
	for (int i = 0, o = 0; i < 21; i += 3) {
		uint32_t v = d[i] << 16 | d[i + 1] << 8 | d[i + 2];
		for (int k = 18; k >= 0; k -= 6) accept[o++] = set[v >> k & 63];
	}
	accept[27] = '=';
	int n = sprintf(answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
	c->up = 1;
	c->sink = !strncmp(head, "GET /sink ", 10);
	if (send(fd, answer, n, MSG_NOSIGNAL) != n) close(fd);
}

static void readable(int fd) {
	struct conn *c = &conns[fd];
	uint32_t kept = c->kept;
	if (kept) memcpy(buf, c->rest, kept);
	ssize_t n = recv(fd, buf + kept, READ, 0);
	if (n <= 0) {
		if (n < 0 && errno == EAGAIN) return;
		free(c->rest);
		memset(c, 0, sizeof *c);
		close(fd);
		return;
	}
	uint8_t *p = buf, *end = buf + kept + n, *o = out;
	if (!c->up) {
		*end = 0;
		upgrade(fd, c, (char *)buf);
		return;
	}
	while (end - p >= 6) {
		uint64_t len = p[1] & 127;
		uint8_t *q = p + 2;
		if (len == 126) len = q[0] << 8 | q[1], q += 2;
		else if (len == 127) { close(fd); return; } /* not for this */
		if ((uint64_t)(end - q) < 4 + len) break;
		uint32_t m32;
		memcpy(&m32, q, 4);
		q += 4;
		uint64_t m = (uint64_t)m32 << 32 | m32, i = 0;
		uint8_t op = p[0] & 15;
		if (!c->sink || op == 9) {
			*o++ = 0x80 | (op == 9 ? 10 : op);
			if (len < 126) *o++ = len;
			else *o++ = 126, *o++ = len >> 8, *o++ = len;
			for (; i + 8 <= len; i += 8) {
				uint64_t v;
				memcpy(&v, q + i, 8);
				v ^= m;
				memcpy(o + i, &v, 8);
			}
			for (; i < len; i++) o[i] = q[i] ^ ((uint8_t *)&m)[i & 7];
			o += len;
		} else {
			for (; i + 8 <= len; i += 8) {
				uint64_t v;
				memcpy(&v, q + i, 8);
				v ^= m;
				memcpy(q + i, &v, 8);
			}
			for (; i < len; i++) q[i] ^= ((uint8_t *)&m)[i & 7];
			seen++;
		}
		p = q + len;
	}
	c->kept = end - p;
	if (c->kept) {
		if (!c->rest) c->rest = malloc(64 << 10);
		memcpy(c->rest, p, c->kept);
	}
	for (uint8_t *s = out; s < o;) {
		ssize_t k = send(fd, s, o - s, MSG_NOSIGNAL);
		if (k < 0 && errno != EAGAIN) return;
		if (k > 0) s += k;
	}
}

int main(int argc, char **argv) {
	if (argc != 2) return 2;
	int one = 1, ln = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(ln, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(ln, (struct sockaddr *)&a, sizeof a) || listen(ln, 1024)) { perror("listen"); return 1; }
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = ln}, evs[1024];
	epoll_ctl(ep, EPOLL_CTL_ADD, ln, &ev);
	for (;;) {
		int n = epoll_wait(ep, evs, 1024, -1);
		for (int i = 0; i < n; i++) {
			if (evs[i].data.fd != ln) { readable(evs[i].data.fd); continue; }
			int fd = accept4(ln, 0, 0, SOCK_NONBLOCK);
			if (fd < 0) continue;
			if (fd >= CONNS) { close(fd); continue; }
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
			ev.events = EPOLLIN, ev.data.fd = fd;
			epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
		}
	}
}
