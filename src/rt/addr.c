/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses to and from text. No names are looked up: that blocks. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/check.h"
#include "base/str.h"
#include "rt/sock.h"

/* "fe80::1%eth0": a link-local address needs its interface. */
static int parse_ip6(const char *host, uint16_t port, struct sock_addr *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->ss;
	char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	char *zone;

	if (!str_copy(text, sizeof(text), host))
		return -EINVAL;
	zone = strchr(text, '%');
	if (zone)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
		return -EINVAL;
	if (zone) {
		in6->sin6_scope_id = if_nametoindex(zone);
		if (!in6->sin6_scope_id)
			return -EINVAL;
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	ret->len = sizeof(*in6);
	return 0;
}

int sock_addr_ip(const char *host, uint16_t port, struct sock_addr *ret)
{
	struct sock_addr addr = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&addr.ss;

	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		addr.len = sizeof(*in);
	} else if (parse_ip6(host, port, &addr) < 0) {
		return -EINVAL;
	}
	*ret = addr;
	return 0;
}

int sock_addr_unix(const char *path, struct sock_addr *ret)
{
	struct sock_addr addr = {0};
	struct sockaddr_un *un = (struct sockaddr_un *)&addr.ss;

	if (!str_copy(un->sun_path, sizeof(un->sun_path), path))
		return -ENAMETOOLONG;
	un->sun_family = AF_UNIX;
	addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	*ret = addr;
	return 0;
}

bool sock_addr_host(const struct sock_addr *addr, char *text, uint16_t *ret_port)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->ss;
	char zone[IF_NAMESIZE];
	size_t used;

	if (addr->ss.ss_family == AF_INET) {
		*ret_port = ntohs(in->sin_port);
		return inet_ntop(AF_INET, &in->sin_addr, text, SOCK_ADDR_TEXT) != NULL;
	}
	if (addr->ss.ss_family != AF_INET6)
		return false;
	*ret_port = ntohs(in6->sin6_port);
	if (!inet_ntop(AF_INET6, &in6->sin6_addr, text, SOCK_ADDR_TEXT))
		return false;
	used = strlen(text);
	if (in6->sin6_scope_id && if_indextoname(in6->sin6_scope_id, zone))
		(void)snprintf(text + used, SOCK_ADDR_TEXT - used, "%%%s", zone);
	return true;
}

char *sock_addr_format(const struct sock_addr *addr, char *text)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->ss;
	char host[SOCK_ADDR_TEXT];
	uint16_t port;

	if (sock_addr_host(addr, host, &port)) {
		bool is_ip6 = addr->ss.ss_family == AF_INET6;

		(void)snprintf(text, SOCK_ADDR_TEXT, is_ip6 ? "[%.*s]:%u" : "%.*s:%u",
			       SOCK_ADDR_TEXT - 16, host, port);
	} else if (addr->ss.ss_family == AF_UNIX) {
		size_t head = offsetof(struct sockaddr_un, sun_path);
		int len = addr->len > head ? (int)(addr->len - head) : 0;

		(void)snprintf(text, SOCK_ADDR_TEXT, "unix:%.*s", len, un->sun_path);
	} else {
		(void)snprintf(text, SOCK_ADDR_TEXT, "(family %d)", addr->ss.ss_family);
	}
	return text;
}

size_t sock_addr_bytes(const struct sock_addr *addr, unsigned char *buf)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->ss;

	if (addr->ss.ss_family == AF_INET) {
		memcpy(buf, &in->sin_addr, sizeof(in->sin_addr));
		return sizeof(in->sin_addr);
	}
	if (addr->ss.ss_family != AF_INET6)
		return 0;
	memcpy(buf, &in6->sin6_addr, sizeof(in6->sin6_addr));
	return sizeof(in6->sin6_addr);
}
