/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fd-link.h"

#include "kcp-message-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Bodies in memory files: what a sender accepts, what a receiver believes. */

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static void
check_bytes (KcpMessage *message,
             const char *text)
{
  g_autoptr (GError) error = NULL;
  GBytes *bytes = kcp_message_get_body_bytes (message, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), text, strlen (text));
}

/* ---- the sender's side ---- */

static void
test_set (void)
{
  LEAK_CHECK_BEGIN;
  int fd = make_file ("[1, 2]");
  g_autoptr (GError) error = NULL;
  KcpMessage *message = kcp_message_new_body_fd ("x", fd, NULL, &error);
  JsonNode *body;

  g_assert_no_error (error);
  g_assert_cmpint (fcntl (fd, F_GET_SEALS) & SEALS, ==, SEALS);
  close (fd);
  check_bytes (message, "[1, 2]");
  body = kcp_message_get_body (message, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (json_array_get_length (json_node_get_array (body)), ==, 2);
  g_assert_cmpuint (kcp_message_get_n_fds (message), ==, 0);

  /* Another in its place; sealed already, empty, and of another type. */
  fd = make_file ("");
  g_assert_no_errno (fcntl (fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL));
  g_assert_true (kcp_message_set_body_fd (message, fd, "text/plain", &error));
  close (fd);
  check_bytes (message, "");
  g_assert_cmpstr (kcp_message_get_content_type (message), ==, "text/plain");
  g_assert_null (kcp_message_get_body (message, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);

  kcp_message_unref (message);
  LEAK_CHECK_END;
}

/* The mapping outlives message and descriptor. */
static void
test_bytes_live_on (void)
{
  LEAK_CHECK_BEGIN;
  int fd = make_file ("still here");
  KcpMessage *message = kcp_message_new_body_fd ("x", fd, "text/plain", NULL);
  GBytes *bytes = g_bytes_ref (kcp_message_get_body_bytes (message, NULL));

  close (fd);
  kcp_message_unref (message);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), "still here", 10);
  g_bytes_unref (bytes);
  LEAK_CHECK_END;
}

static void
refuse (int         fd,
        const char *part)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) message = kcp_message_new_body_fd ("x", fd, NULL, &error);

  g_assert_null (message);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, part));
}

static void
test_cannot_be_sealed (void)
{
  LEAK_CHECK_BEGIN;
  int pipe_fds[2], fd;
  gpointer mapping;

  g_assert_no_errno (pipe2 (pipe_fds, O_CLOEXEC));
  refuse (pipe_fds[0], "is no memory file");
  close (pipe_fds[0]);
  close (pipe_fds[1]);

  fd = memfd_create ("kcp test", MFD_CLOEXEC);
  refuse (fd, "cannot be sealed");
  close (fd);

  fd = make_file ("mapped");
  mapping = mmap (NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  g_assert_true (mapping != MAP_FAILED);
  refuse (fd, "mapped for writing");
  munmap (mapping, 6);
  close (fd);
  LEAK_CHECK_END;
}

/* ---- across ---- */

/* Answers with what has come, as it has come. */
static void
send_back (Side          *side,
           KcpInvocation *invocation)
{
  KcpMessage *message = kcp_invocation_get_message (invocation);

  if (g_str_equal (kcp_invocation_get_path (invocation), "items"))
    for (guint i = 0; i < 3; i++)
      kcp_invocation_send_item_message (invocation, message);
  kcp_invocation_reply_message (invocation, message);
}

static KcpMessage *
make_body (const char *path,
           const char *text,
           guint       count)
{
  KcpMessage *message = make_message (path, "beside", count);
  g_autoptr (GError) error = NULL;
  int fd = make_file (text);

  kcp_message_set_body_fd (message, fd, "text/plain", &error);
  g_assert_no_error (error);
  close (fd);
  return message;
}

static void
test_across (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);

  pair->host.handler = pair->child.handler = send_back;
  for (guint i = 0; i < 4; i++)
    {
      guint count = i / 2 ? 15 : 0;
      g_auto (Answer) answer = { FALSE };

      ask (i % 2 ? &pair->child : &pair->host, make_body ("x", "the body", count), NULL, &answer);
      WAIT_FOR (answer.done);
      g_assert_no_error (answer.error);
      check_message (answer.message, "beside", count);
      check_bytes (answer.message, "the body");
      g_assert_cmpstr (kcp_message_get_content_type (answer.message), ==, "text/plain");
    }

  pair_free (pair);
  LEAK_CHECK_END;
}

static void
test_one_too_many (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  g_auto (Answer) answer = { FALSE };

  ask (&pair->host, make_body ("x", "the body", 16), NULL, &answer);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_TOO_LARGE);

  pair_free (pair);
  LEAK_CHECK_END;
}

static void
test_not_agreed (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (FALSE);
  g_auto (Answer) answer = { FALSE };

  ask (&pair->host, make_body ("x", "the body", 0), NULL, &answer);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);

  pair_free (pair);
  LEAK_CHECK_END;
}

static void
take_next (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  Answer *answer = data;

  answer->done = TRUE;
  answer->message = kcp_stream_next_finish (KCP_STREAM (source), result, &answer->error);
}

/* As items they count for the window, their bytes do not: each is larger than it, and all come
 * before one is taken. */
static void
test_items (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  g_autofree char *text = g_strnfill (100000, 'x');
  g_autoptr (KcpMessage) message = make_body ("items", text, 1);
  g_autoptr (KcpStream) stream = NULL;

  pair->child.handler = send_back;
  stream = kcp_link_ask_stream (pair->host.link, message, NULL);
  WAIT_FOR (kcp_stream_is_done (stream));
  for (guint i = 0; i <= 3; i++)
    {
      g_auto (Answer) answer = { FALSE };

      kcp_stream_next_async (stream, NULL, take_next, &answer);
      WAIT_FOR (answer.done);
      g_assert_no_error (answer.error);
      if (i == 3)
        break;
      check_bytes (answer.message, text);
      check_message (answer.message, "beside", 1);
    }
  check_bytes (kcp_stream_get_result (stream), text);

  g_clear_object (&stream);
  g_clear_pointer (&message, kcp_message_unref);
  pair_free (pair);
  LEAK_CHECK_END;
}

/* ---- the receiver's side ---- */

/* As the codec hands it over. Takes @fd. */
static KcpMessage *
received (int     fd,
          guint64 size)
{
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new_from_array (&fd, 1);
  KcpMessage *message = kcp_message_new_received (g_strdup ("x"), NULL, NULL, NULL, NULL);

  kcp_message_take_received_fds (message, list, TRUE, size);
  return message;
}

static void
disbelieve (int         fd,
            guint64     size,
            const char *part)
{
  KcpMessage *message = received (fd, size);

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (kcp_message_get_body_bytes (message, &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
      g_assert_nonnull (strstr (error->message, part));
      g_clear_error (&error);
      g_assert_null (kcp_message_get_body (message, &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
    }
  kcp_message_unref (message);
}

static void
test_disbelieve (void)
{
  const int missing[] = { F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, SEALS };
  LEAK_CHECK_BEGIN;
  int pipe_fds[2], fd;
  char name[] = "/tmp/kcp-test-XXXXXX";

  for (guint i = 0; i < G_N_ELEMENTS (missing); i++)
    {
      fd = make_file ("four");
      g_assert_no_errno (fcntl (fd, F_ADD_SEALS, (SEALS & ~missing[i]) | F_SEAL_FUTURE_WRITE));
      disbelieve (fd, 4, "sealed");
    }

  g_assert_no_errno (pipe2 (pipe_fds, O_CLOEXEC));
  disbelieve (pipe_fds[0], 4, "sealed");
  close (pipe_fds[1]);
  disbelieve (open ("/dev/null", O_RDONLY | O_CLOEXEC), 4, "sealed");
  fd = mkostemp (name, O_CLOEXEC);
  g_assert_cmpint (fd, >=, 0);
  unlink (name);
  disbelieve (fd, 0, "sealed");

  for (guint i = 0; i < 3; i++)
    {
      const guint64 sizes[] = { 3, 5, G_MAXUINT64 };

      fd = make_file ("four");
      g_assert_no_errno (fcntl (fd, F_ADD_SEALS, SEALS));
      if (i < 2)
        disbelieve (fd, sizes[i], "does not hold the");
      else
        {
          g_autoptr (KcpMessage) message = received (fd, sizes[i]);

          g_assert_null (kcp_message_get_body_bytes (message, NULL));
        }
    }
  LEAK_CHECK_END;
}

/* A file of a terabyte costs its sender nothing: it is mapped, and not read unless someone does. */
static void
test_huge (void)
{
  if (g_getenv ("KCP_TEST_VALGRIND"))
    {
      g_test_skip ("valgrind maps no terabyte");
      return;
    }

  LEAK_CHECK_BEGIN;
  const guint64 size = G_GUINT64_CONSTANT (1) << (sizeof (gsize) > 4 ? 40 : 28);
  int fd = make_file ("[");
  g_autoptr (GError) error = NULL;
  KcpMessage *message;
  GBytes *bytes;

  g_assert_no_errno (ftruncate (fd, (off_t) size));
  g_assert_no_errno (fcntl (fd, F_ADD_SEALS, SEALS));
  message = received (fd, size);
  g_assert_null (kcp_message_get_body (message, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_nonnull (strstr (error->message, "JSON is read up to"));
  g_clear_error (&error);

  bytes = kcp_message_get_body_bytes (message, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, size);
  g_assert_cmpint (((const char *) g_bytes_get_data (bytes, NULL))[0], ==, '[');
  kcp_message_unref (message);
  LEAK_CHECK_END;
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/body-fd/set", test_set);
  g_test_add_func ("/body-fd/bytes-live-on", test_bytes_live_on);
  g_test_add_func ("/body-fd/cannot-be-sealed", test_cannot_be_sealed);
  g_test_add_func ("/body-fd/across", test_across);
  g_test_add_func ("/body-fd/one-too-many", test_one_too_many);
  g_test_add_func ("/body-fd/not-agreed", test_not_agreed);
  g_test_add_func ("/body-fd/items", test_items);
  g_test_add_func ("/body-fd/disbelieve", test_disbelieve);
  g_test_add_func ("/body-fd/huge", test_huge);

  return g_test_run ();
}
