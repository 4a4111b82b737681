/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>
#include <base/parse.h>
#include <control/listener.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* @text, which is changed, is cut into host and port: "127.0.0.1:80", "[::1]:80". */
static int split(char *text, char **ret_host, uint16_t *ret_port)
{
	char *host = text, *colon = strrchr(text, ':');
	uint64_t port;
	size_t len;

	if (!colon || parse_u64(colon + 1, 0, UINT16_MAX, &port) < 0)
		return -EINVAL;
	*colon = '\0';
	len = strlen(host);
	if (host[0] == '[') {
		if (host[len - 1] != ']')
			return -EINVAL;
		host[len - 1] = '\0';
		host++;
	}
	*ret_host = host;
	*ret_port = (uint16_t)port;
	return 0;
}

static bool parse_address(const char *host, uint16_t port, union address *ret_address)
{
	union address a;

	(void)memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) == 1) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons(port);
	} else if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
			     &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons(port);
	} else {
		return false;
	}
	*ret_address = a;
	return true;
}

static bool is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
	return ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static int bind_and_listen(int fd, union address *address)
{
	socklen_t len = address->any.sa_family == AF_INET6 ? sizeof(address->v6)
							   : sizeof(address->v4);
	const int on = 1;

	/* A daemon that is started again takes its port over from connections in TIME_WAIT. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, &address->any, len) < 0 || listen(fd, HTTP_CONNECTIONS_MAX) < 0 ||
	    getsockname(fd, &address->any, &len) < 0)
		return neg_errno();
	return 0;
}

static void print_address(const union address *a, char text[HTTP_LISTEN_MAX])
{
	char host[INET6_ADDRSTRLEN];

	if (a->any.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof(host));
		(void)snprintf(text, HTTP_LISTEN_MAX, "[%s]:%u", host, ntohs(a->v6.sin6_port));
	} else {
		(void)inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof(host));
		(void)snprintf(text, HTTP_LISTEN_MAX, "%s:%u", host, ntohs(a->v4.sin_port));
	}
}

int listener_open(const char *listen_on, int *ret_fd, char ret_address[HTTP_LISTEN_MAX],
		  struct sluice_error *reterr)
{
	char text[HTTP_LISTEN_MAX], *host = NULL;
	union address address;
	uint16_t port = 0;
	int fd, ret;

	if (!listen_on || strlen(listen_on) >= sizeof(text))
		return error_set(reterr, -EINVAL, "control server: listen: not ADDRESS:PORT");
	(void)memcpy(text, listen_on, strlen(listen_on) + 1);
	if (split(text, &host, &port) < 0 || !parse_address(host, port, &address))
		return error_set(reterr, -EINVAL,
				 "control server: listen: %s is not ADDRESS:PORT, e.g. 127.0.0.1:0",
				 listen_on);
	if (!is_loopback(&address))
		return error_set(reterr, -EINVAL,
				 "control server: listen: %s refused: control server listens on "
				 "loopback only; use 127.0.0.1:%u",
				 listen_on, port);
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = fd < 0 ? neg_errno() : bind_and_listen(fd, &address);
	if (ret < 0) {
		if (fd >= 0)
			(void)close(fd);
		return error_set(reterr, ret, "control server: cannot listen on %s: %s", listen_on,
				 error_name(ret));
	}
	print_address(&address, ret_address);
	*ret_fd = fd;
	return 0;
}
