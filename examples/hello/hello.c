/*
 * A web server in one file: answers every request with one sentence about where it runs. One connection after the other, which
 * is all that an example needs. Ends orderly on SIGTERM, so that `rkt stop` counts as success.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void stop(int number) {
  (void)number;
  _exit(0);
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void answer(int connection) {
  char request[4096];
  if (read(connection, request, sizeof request) <= 0) return;
  char host[65] = "?";
  gethostname(host, sizeof host - 1);
  char body[256], head[256];
  const char *app = getenv("AC_APP_NAME");
  int length = snprintf(body, sizeof body, "Hello from app %s, pid %d, on host %s.\n", app ? app : "?", (int)getpid(), host);
  int start = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", length);
  if (write(connection, head, start) < 0 || write(connection, body, length) < 0) perror("write");
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 8080;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, stop);

  int listener = socket(AF_INET, SOCK_STREAM, 0);
  int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY), .sin_port = htons(port)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, 16) < 0) fail("listen");
  printf("listening on port %d\n", port);
  fflush(stdout);

  for (;;) {
    int connection = accept(listener, NULL, NULL);
    if (connection < 0 && errno != EINTR) fail("accept");
    if (connection < 0) continue;
    answer(connection);
    close(connection);
  }
}
