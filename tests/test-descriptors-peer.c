/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fd-link.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/sockios.h>

/* A link of ours, and a peer of bare bytes that says one thing about its descriptors and does
 * another. Whatever it does, nothing of it stays open. */

typedef struct
{
  Side host;
  int request, callback;     /* the peer's ends */
  GSocketConnection *ends[2];
} Raw;

static Raw *
raw_new (gboolean fds)
{
  Raw *raw = g_new0 (Raw, 1);
  g_autoptr (GSocketConnection) request = NULL, callback = NULL;

  make_sockets (&request, &raw->ends[0]);
  make_sockets (&callback, &raw->ends[1]);
  raw->request = g_socket_get_fd (g_socket_connection_get_socket (raw->ends[0]));
  raw->callback = g_socket_get_fd (g_socket_connection_get_socket (raw->ends[1]));
  side_init (&raw->host, KCP_LINK_HOST, request, callback, fds);
  return raw;
}

static void
raw_free (Raw *raw)
{
  side_clear (&raw->host);
  g_object_unref (raw->ends[0]);
  g_object_unref (raw->ends[1]);
  g_free (raw);
}

/* @sent descriptors with the first of @length bytes. */
static void
send_bytes (int           socket,
            const guint8 *bytes,
            gsize         length,
            guint         sent)
{
  _Alignas (struct cmsghdr) char control[CMSG_SPACE (sizeof (int) * 32)] = { 0 };
  struct iovec vector = { (gpointer) bytes, length };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
  int fds[32];

  for (guint i = 0; i < sent; i++)
    {
      g_autofree char *text = g_strdup_printf ("raw %u", i);

      fds[i] = make_file (text);
    }
  if (sent > 0)
    {
      struct cmsghdr *header;

      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE (sizeof (int) * sent);
      header = CMSG_FIRSTHDR (&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN (sizeof (int) * sent);
      memcpy (CMSG_DATA (header), fds, sizeof (int) * sent);
    }
  g_assert_cmpint (sendmsg (socket, &message, MSG_NOSIGNAL), ==, length);
  for (guint i = 0; i < sent; i++)
    close (fds[i]);
}

static GByteArray *
make_frame (KcpFrameKind     kind,
            guint64          id,
            const KcpFields *fields,
            const char      *body)
{
  gsize fields_size = kcp_fields_size (fields), body_size = body ? strlen (body) : 0;
  GByteArray *frame = g_byte_array_new ();
  guint8 *deadline;
  const KcpFrameHeader header = {
    .kind = (guint8) kind, .id = id, .fields_length = (guint16) fields_size,
    .length = (guint32) (fields_size + body_size),
  };

  g_byte_array_set_size (frame, (guint) (KCP_FRAME_HEADER_SIZE + fields_size));
  kcp_frame_header_write (&header, frame->data);
  kcp_fields_write (fields, frame->data + KCP_FRAME_HEADER_SIZE, &deadline);
  if (body)
    g_byte_array_append (frame, (const guint8 *) body, (guint) body_size);
  return frame;
}

static void
send_frame (int              socket,
            KcpFrameKind     kind,
            guint64          id,
            const KcpFields *fields,
            const char      *body,
            guint            sent)
{
  g_autoptr (GByteArray) frame = make_frame (kind, id, fields, body);

  send_bytes (socket, frame->data, frame->len, sent);
}

#define COUNT(n) ((KcpFields) { .present = KCP_FIELD_BIT (KCP_FIELD_FD_COUNT), .fd_count = (guint16) (n) })
#define NOTHING ((KcpFields) { .present = 0 })

/* Everything that was sent has been read. */
static gboolean
is_read (int socket)
{
  int left;

  g_assert_no_errno (ioctl (socket, SIOCOUTQ, &left));
  return left == 0;
}

/* ---- said and done ---- */

typedef struct
{
  const char *name;
  int announced;        /* -1: no field */
  guint sent;
  const char *part;     /* of the error; NULL: all is well */
  KcpFrameKind kind;
  gboolean body_fd, body;
  gboolean not_agreed;
} Row;

static const Row rows[] = {
  { "as-said/0", -1, 0, NULL, KCP_FRAME_END },
  { "as-said/1", 1, 1, NULL, KCP_FRAME_END },
  { "as-said/16", 16, 16, NULL, KCP_FRAME_END },
  { "none-of-2", 2, 0, "announces 2 descriptors, with its first byte came 0", KCP_FRAME_END },
  { "1-of-2", 2, 1, "announces 2 descriptors, with its first byte came 1", KCP_FRAME_END },
  { "2-of-1", 1, 2, "announces 1 descriptors, with its first byte came 2", KCP_FRAME_END },
  { "unclaimed", -1, 1, "that no frame claims", KCP_FRAME_END },
  { "unclaimed-16", -1, 16, "that no frame claims", KCP_FRAME_ITEM },
  { "cut-off", 16, 17, "more descriptors were sent than a frame may have", KCP_FRAME_END },
  { "cut-off-32", 1, 32, "more descriptors were sent than a frame may have", KCP_FRAME_END },
  { "says-0", 0, 0, "announces no descriptor", KCP_FRAME_END },
  { "says-17", 17, 16, "or more than 16", KCP_FRAME_END },
  { "error", 1, 1, "a field that does not belong on it", KCP_FRAME_ERROR },
  { "status", 1, 1, "a field that does not belong on it", KCP_FRAME_STATUS },
  { "pong", -1, 1, "that no frame claims", KCP_FRAME_PONG },
  { "body/none", -1, 0, "in a descriptor that is not there", KCP_FRAME_END, .body_fd = TRUE },
  { "body/two", 1, 1, "beside another body", KCP_FRAME_END, .body_fd = TRUE, .body = TRUE },
  { "not-agreed/said", 1, 0, "which has not been agreed on", KCP_FRAME_END, .not_agreed = TRUE },
  { "not-agreed/done", -1, 1, "that no frame claims", KCP_FRAME_END, .not_agreed = TRUE },
  { "not-agreed/both", 1, 1, "that no frame claims", KCP_FRAME_END, .not_agreed = TRUE },
  { "not-agreed/many", 1, 20, "that no frame claims", KCP_FRAME_END, .not_agreed = TRUE },
};

static void
test_row (gconstpointer data)
{
  const Row *row = data;
  LEAK_CHECK_BEGIN;
  Raw *raw = raw_new (!row->not_agreed);
  KcpFields fields = row->announced >= 0 ? COUNT (row->announced) : NOTHING;
  gboolean link_frame = kcp_frame_kind_is_link ((guint8) row->kind);
  g_auto (Answer) answer = { FALSE };

  if (row->body_fd)
    fields.present |= KCP_FIELD_BIT (KCP_FIELD_BODY_FD);
  ask (&raw->host, kcp_message_new ("x", NULL), NULL, &answer);
  send_frame (raw->request, row->kind, link_frame ? 0 : 1, &fields, row->body ? "1" : NULL, row->sent);
  WAIT_FOR (answer.done);

  if (row->part)
    {
      WAIT_FOR (raw->host.ended);
      g_assert_error (raw->host.lost, KCP_ERROR, KCP_ERROR_PROTOCOL);
      if (strstr (raw->host.lost->message, row->part) == NULL)
        g_error ("“%s” is not in “%s”", row->part, raw->host.lost->message);
    }
  else
    {
      g_assert_no_error (answer.error);
      check_message (answer.message, "raw", row->sent);
    }

  answer_clear (&answer);
  raw_free (raw);
  LEAK_CHECK_END;
}

/* The same on a call of the peer. */
static void
test_call (gconstpointer data)
{
  guint sent = GPOINTER_TO_UINT (data);
  LEAK_CHECK_BEGIN;
  Raw *raw = raw_new (TRUE);
  KcpFields fields = COUNT (3);

  fields.present |= KCP_FIELD_BIT (KCP_FIELD_PATH);
  fields.path = "call";
  fields.path_length = 4;
  send_frame (raw->callback, KCP_FRAME_CALL, 1, &fields, NULL, sent);
  WAIT_FOR (raw->host.ended || raw->host.kept->len > 0);
  g_assert_cmpint (raw->host.ended, ==, sent != 3);
  if (sent == 3)
    check_message (kcp_invocation_get_message (raw->host.kept->pdata[0]), "raw", 3);
  else
    g_assert_error (raw->host.lost, KCP_ERROR, KCP_ERROR_PROTOCOL);

  raw_free (raw);
  LEAK_CHECK_END;
}

/* They belong to the first byte: a frame that has begun without them has none. */
static void
test_too_late (void)
{
  LEAK_CHECK_BEGIN;
  Raw *raw = raw_new (TRUE);
  g_autoptr (GByteArray) frame = make_frame (KCP_FRAME_END, 1, &COUNT (1), NULL);
  g_auto (Answer) answer = { FALSE };

  ask (&raw->host, kcp_message_new ("x", NULL), NULL, &answer);
  send_bytes (raw->request, frame->data, 1, 0);
  WAIT_FOR (is_read (raw->request));
  send_bytes (raw->request, frame->data + 1, frame->len - 1, 1);
  WAIT_FOR (raw->host.ended);
  g_assert_error (raw->host.lost, KCP_ERROR, KCP_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (raw->host.lost->message, "with its first byte came 0"));
  WAIT_FOR (answer.done);

  raw_free (raw);
  LEAK_CHECK_END;
}

/* The bytes of a frame that never ends, each with descriptors: after a few it is over. */
static void
test_flood (void)
{
  LEAK_CHECK_BEGIN;
  Raw *raw = raw_new (TRUE);
  g_autoptr (GByteArray) frame = make_frame (KCP_FRAME_STATUS, 0, &NOTHING, "0123456789");
  guint sent = 0;

  for (; sent < frame->len - 1 && !raw->host.ended; sent++)
    {
      send_bytes (raw->request, frame->data + sent, 1, 16);
      WAIT_FOR (raw->host.ended || is_read (raw->request));
    }
  g_assert_true (raw->host.ended);
  g_assert_cmpuint (sent, ==, 3);
  g_assert_error (raw->host.lost, KCP_ERROR, KCP_ERROR_PROTOCOL);

  raw_free (raw);
  LEAK_CHECK_END;
}

/* Byte by byte and in pieces, frames with descriptors between those without: each its own. */
static void
test_pieces (void)
{
  const gsize steps[] = { 1, 7, 16, 1000, 100000, 0 };
  g_autofree char *body = g_strnfill (90000, ' ');
  LEAK_CHECK_BEGIN;

  for (guint i = 0; steps[i] > 0; i++)
    {
      Raw *raw = raw_new (TRUE);
      Answer answers[12] = { { FALSE } };

      for (guint k = 0; k < G_N_ELEMENTS (answers); k++)
        {
          guint count = k % 3 == 2 ? 0 : k + 1;
          g_autoptr (GByteArray) frame = make_frame (KCP_FRAME_END, k + 1, count ? &COUNT (count) : &NOTHING,
                                                     steps[i] > 100 && k % 4 == 0 ? body : " ");

          ask (&raw->host, kcp_message_new ("x", NULL), NULL, &answers[k]);
          for (gsize at = 0; at < frame->len; at += steps[i])
            {
              send_bytes (raw->request, frame->data + at, MIN (steps[i], frame->len - at), at == 0 ? count : 0);
              if (k % 2 == 0)
                WAIT_FOR (raw->host.ended || is_read (raw->request));
            }
        }
      for (guint k = 0; k < G_N_ELEMENTS (answers); k++)
        {
          WAIT_FOR (answers[k].done);
          g_assert_no_error (answers[k].error);
          check_message (answers[k].message, "raw", k % 3 == 2 ? 0 : k + 1);
          answer_clear (&answers[k]);
        }
      raw_free (raw);
    }

  LEAK_CHECK_END;
}

/* The end comes in the middle of a frame whose descriptors are there; they go with the sockets. */
static void
test_end_in_frame (void)
{
  LEAK_CHECK_BEGIN;
  Raw *raw = raw_new (TRUE);
  g_autoptr (GByteArray) frame = make_frame (KCP_FRAME_STATUS, 0, &NOTHING, "{}");
  g_autofree char *after = NULL;

  send_bytes (raw->request, frame->data, frame->len - 1, 16);
  shutdown (raw->request, SHUT_WR);
  WAIT_FOR (raw->host.ended);
  after = list_descriptors ();
  g_assert_null (strstr (after, "kcp test"));

  raw_free (raw);
  LEAK_CHECK_END;
}

/* Answers that cross a cancellation are taken in and closed; what follows is not mistaken for them. */
static void
test_late (void)
{
  LEAK_CHECK_BEGIN;
  Raw *raw = raw_new (TRUE);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (Answer) answer = { FALSE };

  ask (&raw->host, kcp_message_new ("x", NULL), cancellable, &answer);
  g_cancellable_cancel (cancellable);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  answer_clear (&answer);

  send_frame (raw->request, KCP_FRAME_ITEM, 1, &COUNT (3), NULL, 3);
  send_frame (raw->request, KCP_FRAME_END, 1, &COUNT (16), NULL, 16);
  ask (&raw->host, kcp_message_new ("x", NULL), NULL, &answer);
  send_frame (raw->request, KCP_FRAME_END, 2, &COUNT (2), NULL, 2);
  WAIT_FOR (answer.done);
  g_assert_no_error (answer.error);
  check_message (answer.message, "raw", 2);
  answer_clear (&answer);

  raw_free (raw);
  LEAK_CHECK_END;
}

/* An answer that waits for frames of the other socket, which never come. */
static void
test_held (void)
{
  LEAK_CHECK_BEGIN;
  Raw *raw = raw_new (TRUE);
  KcpFields fields = COUNT (5);
  g_auto (Answer) answer = { FALSE };

  fields.present |= KCP_FIELD_BIT (KCP_FIELD_CALLBACKS_SENT);
  fields.callbacks_sent = 7;
  ask (&raw->host, kcp_message_new ("x", NULL), NULL, &answer);
  send_frame (raw->request, KCP_FRAME_END, 1, &fields, NULL, 5);
  WAIT_FOR (is_read (raw->request));
  g_assert_false (answer.done);
  side_close (&raw->host);
  WAIT_FOR (answer.done);
  g_assert_nonnull (answer.error);

  raw_free (raw);
  LEAK_CHECK_END;
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path = g_strdup_printf ("/descriptors-peer/%s", rows[i].name);

      g_test_add_data_func (path, &rows[i], test_row);
    }
  g_test_add_data_func ("/descriptors-peer/call/3-of-3", GUINT_TO_POINTER (3), test_call);
  g_test_add_data_func ("/descriptors-peer/call/2-of-3", GUINT_TO_POINTER (2), test_call);
  g_test_add_data_func ("/descriptors-peer/call/0-of-3", GUINT_TO_POINTER (0), test_call);
  g_test_add_func ("/descriptors-peer/too-late", test_too_late);
  g_test_add_func ("/descriptors-peer/flood", test_flood);
  g_test_add_func ("/descriptors-peer/pieces", test_pieces);
  g_test_add_func ("/descriptors-peer/end-in-frame", test_end_in_frame);
  g_test_add_func ("/descriptors-peer/late", test_late);
  g_test_add_func ("/descriptors-peer/held", test_held);

  return g_test_run ();
}
