/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A child that does its part of the start wrongly, in the way that PHONY names. It writes its bytes
 * by hand and uses nothing of the library, GLib included. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HELLO = 1, STATUS = 9, PONG = 14 };

typedef struct
{
  const char *token, *protocol, *socket;
} Hello;

static int request = -1, callback = -1;

static int
is (const char *mode)
{
  const char *wanted = getenv ("PHONY");

  return wanted && strcmp (mode, wanted) == 0;
}

static int
begins (const char *prefix)
{
  const char *wanted = getenv ("PHONY");

  return wanted && strncmp (prefix, wanted, strlen (prefix)) == 0;
}

_Noreturn static void
rest (void)
{
  for (;;)
    pause ();
}

static int
connect_to (const char *variable)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  const char *path = getenv (variable);
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (path == NULL || strlen (path) >= sizeof address.sun_path)
    exit (90);
  strcpy (address.sun_path, path);
  if (fd < 0 || connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    exit (91);
  return fd;
}

static void
write_all (int         fd,
           const void *bytes,
           size_t      size)
{
  if (write (fd, bytes, size) != (ssize_t) size)
    exit (92);
}

/* @length: what the header says; @send: how much really goes. */
static void
write_frame (int         fd,
             int         kind,
             const char *body,
             uint32_t    length,
             size_t      send)
{
  unsigned char frame[4096] = { 0 };

  for (int i = 0; i < 4; i++)
    frame[i] = (unsigned char) (length >> (8 * i));
  frame[4] = (unsigned char) kind;
  memcpy (frame + 16, body, strlen (body));
  write_all (fd, frame, send);
}

static void
write_whole (int         fd,
             int         kind,
             const char *body)
{
  write_frame (fd, kind, body, (uint32_t) strlen (body), 16 + strlen (body));
}

/* The host speaks first; not reading it would let us answer before it is listening. */
static void
await_hello (int fd)
{
  char buffer[4096];

  if (read (fd, buffer, sizeof buffer) <= 0)
    exit (93);
}

static void
print_hello (char  *text,
             size_t size,
             Hello  hello)
{
  snprintf (text, size,
            "{\"protocol\":%s,\"program\":\"phony 9.9\",\"side\":\"child\",\"socket\":\"%s\",\"features\":[],"
            "\"limits\":{\"frame\":65536},\"pid\":%d,\"token\":\"%s\"}",
            hello.protocol, hello.socket, (int) getpid (), hello.token);
}

static void
say_hello (int         fd,
           const char *socket_name)
{
  Hello hello = { getenv ("KCP_TOKEN"), "{\"min\":1,\"max\":1}", socket_name };
  char text[2048];

  if (is ("wrong-token"))
    hello.token = "00000000000000000000000000000000";
  if (is ("version"))
    hello.protocol = "{\"min\":7,\"max\":9}";
  if (is ("wrong-socket"))
    hello.socket = "callback";
  print_hello (text, sizeof text, hello);

  await_hello (fd);
  if (begins ("half"))
    write_frame (fd, HELLO, text, (uint32_t) strlen (text), 16 + strlen (text) / 2);
  else if (is ("huge"))
    write_frame (fd, HELLO, text, 0xffffffffu, 16 + strlen (text));
  else if (is ("wrong-kind"))
    write_whole (fd, PONG, "");
  else if (is ("not-json"))
    write_whole (fd, HELLO, "{\"protocol\":");
  else if (is ("garbage"))
    write_all (fd, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 20);
  else
    write_whole (fd, HELLO, text);
}

/* Both are joined, the host sends OPEN. */
static void
misreport (void)
{
  static const struct
  {
    const char *mode, *body, *second;
  } reports[] = {
    { "status-json", "{\"phase\":\"opening\"", NULL },
    { "status-unknown", "{\"phase\":\"dancing\"}", NULL },
    { "status-none", "{}", NULL },
    { "status-type", "{\"phase\":7}", NULL },
    { "status-order", "{\"phase\":\"starting\"}", "{\"phase\":\"opening\"}" },
    { "status-no-manifest", "{\"phase\":\"ready\"}", NULL },
    { "status-bad-manifest", "{\"phase\":\"ready\",\"manifest\":{\"name\":7}}", NULL },
    { "status-error-text", "{\"phase\":\"opening\",\"error\":\"no object\"}", NULL },
    { "status-forged",
      "{\"phase\":\"opening\",\"error\":{\"domain\":\"kcp\",\"code\":\"child-crashed\",\"message\":\"believe me\"}}",
      NULL },
  };

  for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++)
    if (is (reports[i].mode))
      {
        write_whole (request, STATUS, reports[i].body);
        if (reports[i].second)
          write_whole (request, STATUS, reports[i].second);
      }
}

int
main (void)
{
  fprintf (stderr, "phony stub here\n");
  if (is ("exits"))
    return 7;
  if (is ("crashes"))
    {
      signal (SIGSEGV, SIG_DFL);   /* which a sanitizer has taken */
      raise (SIGSEGV);
    }
  if (is ("never-connects"))
    rest ();

  request = connect_to ("KCP_REQUEST_SOCKET");
  if (is ("one-socket"))
    {
      say_hello (request, "request");
      rest ();
    }
  callback = connect_to ("KCP_CALLBACK_SOCKET");
  if (is ("silent"))
    rest ();

  say_hello (request, "request");
  if (is ("half-exits"))
    return 9;
  if (is ("half-closes"))
    {
      close (request);
      close (callback);
    }
  if (is ("version"))
    return 3;
  if (begins ("half") || is ("wrong-token") || is ("wrong-socket") || is ("wrong-kind") || is ("huge") ||
      is ("garbage") || is ("not-json"))
    rest ();

  say_hello (callback, "callback");
  if (is ("joined-exits"))
    return 5;
  if (is ("joined-closes"))
    {
      close (request);
      close (callback);
    }
  misreport ();
  rest ();
}
