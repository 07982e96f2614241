/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fd-link.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

gboolean
guard_passed (gpointer where)
{
  g_error ("%s: waited %d s in vain", (const char *) where, GUARD_SECONDS);
  return G_SOURCE_REMOVE;
}

/* ---- what is open ---- */

static int
compare (gconstpointer a,
         gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char *
list_descriptors (void)
{
  g_autoptr (GTypeClass) task_class = g_type_class_ref (G_TYPE_TASK);
  GMainContext *context = g_main_context_default ();
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  /* Both have one of their own, from the first use on. */
  g_assert_true (context && task_class);

  while ((name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename ("/proc/self/fd", name, NULL);
      char *target = g_file_read_link (path, NULL);

      if (target && g_str_has_suffix (target, "/fd"))
        g_free (target);
      else if (target)
        g_ptr_array_add (names, target);
    }
  g_ptr_array_sort (names, compare);
  g_ptr_array_add (names, NULL);
  return g_strjoinv ("\n", (char **) names->pdata);
}

int
make_file (const char *text)
{
  gsize length = strlen (text);
  int fd = memfd_create ("kcp test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, text, length), ==, length);
  return fd;
}

KcpMessage *
make_message (const char *path,
              const char *name,
              guint       count)
{
  KcpMessage *message = kcp_message_new (path, NULL);

  for (guint i = 0; i < count; i++)
    {
      g_autofree char *text = g_strdup_printf ("%s %u", name, i);
      g_autoptr (GError) error = NULL;
      int fd = make_file (text);

      g_assert_cmpint (kcp_message_append_fd (message, fd, &error), ==, i);
      g_assert_no_error (error);
      close (fd);
    }

  return message;
}

void
check_message (KcpMessage *message,
               const char *name,
               guint       count)
{
  g_assert_nonnull (message);
  g_assert_cmpuint (kcp_message_get_n_fds (message), ==, count);

  for (guint i = 0; i < count; i++)
    {
      g_autofree char *expected = g_strdup_printf ("%s %u", name, i);
      g_autoptr (GError) error = NULL;
      char found[100] = "";
      int fd = kcp_message_get_fd (message, i, &error);

      g_assert_no_error (error);
      g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
      g_assert_cmpint (pread (fd, found, sizeof found - 1, 0), ==, strlen (expected));
      g_assert_cmpstr (found, ==, expected);
      close (fd);
    }
}

/* ---- links ---- */

void
side_close (Side *side)
{
  g_autoptr (GError) reason = g_error_new_literal (KCP_ERROR, KCP_ERROR_NOT_RUNNING, "the test is over");

  if (side->link)
    kcp_link_close (side->link, reason);
}

static void
on_invoke (gpointer       owner,
           KcpInvocation *invocation)
{
  Side *side = owner;

  if (side->handler)
    side->handler (side, invocation);
  else
    g_ptr_array_add (side->kept, kcp_invocation_ref (invocation));
}

static void
on_frame (gpointer      owner,
          KcpFrameKind  kind,
          GBytes       *body)
{
}

static void
on_lost (gpointer      owner,
         const GError *error)
{
  Side *side = owner;

  side->ended = TRUE;
  if (error && side->lost == NULL)
    side->lost = g_error_copy (error);
  side_close (side);
}

static const KcpLinkOps link_ops = { .invoke = on_invoke, .frame = on_frame, .lost = on_lost };

static GSocketConnection *
wrap (int fd)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, &error);

  g_assert_no_error (error);
  g_socket_set_blocking (socket, FALSE);
  return g_socket_connection_factory_create_connection (socket);
}

void
make_sockets (GSocketConnection **ours,
              GSocketConnection **theirs)
{
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  *ours = wrap (fds[0]);
  *theirs = wrap (fds[1]);
}

void
side_init (Side              *side,
           KcpLinkSide        which,
           GSocketConnection *request,
           GSocketConnection *callback,
           gboolean           fds)
{
  KcpLinkSocket sockets[2] = {
    { request, kcp_frame_reader_new (KCP_FRAME_HELLO_LIMIT) },
    { callback, kcp_frame_reader_new (KCP_FRAME_HELLO_LIMIT) },
  };
  const KcpTerms terms = {
    .frame_limit = KCP_FRAME_DEFAULT_LIMIT, .credit = TRUE, .fds = fds,
    .our_items = 4, .their_items = 4, .our_bytes = 10000, .their_bytes = 10000,
  };

  side->kept = g_ptr_array_new_with_free_func ((GDestroyNotify) kcp_invocation_unref);
  side->link = kcp_link_new (which, &sockets[0], &sockets[1], &terms, &link_ops, side);
  kcp_link_attach (side->link, NULL);
}

void
side_clear (Side *side)
{
  side_close (side);
  g_clear_pointer (&side->kept, g_ptr_array_unref);
  g_clear_pointer (&side->link, kcp_link_unref);
  g_clear_error (&side->lost);
}

Pair *
pair_new (gboolean fds)
{
  Pair *pair = g_new0 (Pair, 1);
  g_autoptr (GSocketConnection) r1 = NULL, r2 = NULL, c1 = NULL, c2 = NULL;

  make_sockets (&r1, &r2);
  make_sockets (&c1, &c2);
  side_init (&pair->host, KCP_LINK_HOST, r1, c1, fds);
  side_init (&pair->child, KCP_LINK_CHILD, r2, c2, fds);
  return pair;
}

void
pair_free (Pair *pair)
{
  side_clear (&pair->host);
  side_clear (&pair->child);
  g_free (pair);
}

void
fill_socket (Pair  *pair,
             guint  pieces)
{
  const gsize size = 450000;
  g_autofree guint8 *noise = g_malloc0 (size);

  for (guint i = 0; i < pieces; i++)
    {
      g_autoptr (GBytes) body = g_bytes_new (noise, size);
      g_autoptr (KcpMessage) message = kcp_message_new_bytes ("filler", body, "application/octet-stream");

      g_assert_true (kcp_link_tell (pair->host.link, message, NULL));
    }
}

/* ---- answers ---- */

static void
take_answer (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  Answer *answer = data;

  g_assert_false (answer->done);
  answer->done = TRUE;
  answer->message = kcp_link_ask_finish (result, &answer->error);
}

void
ask (Side         *side,
     KcpMessage   *message,
     GCancellable *cancellable,
     Answer       *answer)
{
  kcp_link_ask_async (side->link, NULL, message, cancellable, take_answer, answer);
  kcp_message_unref (message);
}

void
answer_clear (Answer *answer)
{
  g_clear_pointer (&answer->message, kcp_message_unref);
  g_clear_error (&answer->error);
  answer->done = FALSE;
}
