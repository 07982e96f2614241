/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One link, and a peer that writes the bytes it likes: whatever breaks the protocol ends the link
 * with an error that names it, and what is good is understood however it is cut up. */

#define HOST KCP_LINK_HOST
#define CHILD KCP_LINK_CHILD
#define REQUEST KCP_SOCKET_REQUEST
#define CALLBACK KCP_SOCKET_CALLBACK

/* ---- violations ---- */

static void
assert_ended (RawPair    *pair,
              const char *socket,
              const char *reason)
{
  char byte;

  WAIT_FOR (pair->side.lost > 0);
  g_assert_error (pair->side.lost_error, KCP_ERROR, KCP_ERROR_PROTOCOL);
  if (!g_str_has_prefix (pair->side.lost_error->message, socket) ||
      strstr (pair->side.lost_error->message, reason) == NULL)
    g_error ("“%s” does not name %s and %s", pair->side.lost_error->message, socket, reason);

  /* Both sockets are closed, not only the one on which it happened. */
  g_assert_true (kcp_link_is_closed (pair->side.link));
  for (guint i = 0; i < 2; i++)
    {
      gssize count;

      while ((count = recv (pair->fds[i], &byte, 1, MSG_DONTWAIT)) > 0)
        ;
      if (count < 0)
        g_assert_cmpint (errno, ==, ECONNRESET);
    }
  g_assert_cmpuint (pair->side.lost, ==, 1);
}

/* The bytes of one frame; on the request socket of a child unless told otherwise. Where @good is
 * set, a good CALL with the id 5 comes before it. */
typedef struct
{
  const char *name, *reason;
  guint8 kind;
  guint8 flags;
  guint64 id;
  const char *fields;   /* as they are on the wire, in hexadecimal digits */
  const char *body;
  gint64 length;        /* 0: the true one */
  int fields_length;    /* 0: the true one */
  KcpLinkSide side;
  KcpSocketRole socket;
  gboolean good;
} Violation;

#define PATH "01000100" "61"
#define ON_CHILD_CALLBACK .side = CHILD, .socket = CALLBACK
#define ON_HOST_REQUEST .side = HOST, .socket = REQUEST
#define ON_HOST_CALLBACK .side = HOST, .socket = CALLBACK
#define ON_CHILD_REQUEST .side = CHILD, .socket = REQUEST

static const Violation violations[] = {
  { "kind-0", "unknown kind 0", 0, ON_CHILD_REQUEST },
  { "kind-16", "unknown kind 16", 16, ON_CHILD_REQUEST },
  { "kind-255", "unknown kind 255", 255, ON_CHILD_REQUEST },
  { "flag-2-on-call", "flags 0x02", KCP_FRAME_CALL, 2, 1, PATH, ON_CHILD_REQUEST },
  { "flag-1-on-end", "flags 0x01", KCP_FRAME_END, 1, 1, ON_CHILD_CALLBACK },
  { "id-on-link-frame", "call id", KCP_FRAME_PING, 0, 1, ON_CHILD_REQUEST },
  { "no-id-on-call", "without a call id", KCP_FRAME_CALL, 0, 0, PATH, ON_CHILD_REQUEST },
  { "too-long", "the limit is", KCP_FRAME_CALL, 0, 1, PATH, NULL, 16 * 1024 * 1024 + 1, ON_CHILD_REQUEST },
  { "much-too-long", "4294967295", KCP_FRAME_CALL, 0, 1, PATH, NULL, G_MAXUINT32, ON_CHILD_REQUEST },
  { "fields-longer-than-frame", "longer than the frame", KCP_FRAME_CALL, 0, 1, PATH, NULL, 0, 6,
    ON_CHILD_REQUEST },
  { "field-header-cut", "middle of a field", KCP_FRAME_CALL, 0, 1, PATH "0200", ON_CHILD_REQUEST },
  { "field-beyond-fields", "beyond the fields", KCP_FRAME_CALL, 0, 1, "01000500" "61", ON_CHILD_REQUEST },
  { "field-into-body", "beyond the fields", KCP_FRAME_CALL, 0, 1, "01000500" "61", "aaaa", ON_CHILD_REQUEST },
  { "reserved-byte", "zero is reserved", KCP_FRAME_CALL, 0, 1, "01010100" "61", ON_CHILD_REQUEST },
  { "reserved-byte-unknown-field", "zero is reserved", KCP_FRAME_CALL, 0, 1, PATH "70010000",
    ON_CHILD_REQUEST },
  { "path-twice", "twice", KCP_FRAME_CALL, 0, 1, PATH PATH, ON_CHILD_REQUEST },
  { "deadline-of-3", "expected 4", KCP_FRAME_CALL, 0, 1, PATH "05000300" "000000", ON_CHILD_REQUEST },
  { "deadline-of-5", "expected 4", KCP_FRAME_CALL, 0, 1, PATH "05000500" "0000000000", ON_CHILD_REQUEST },
  { "parent-of-4", "expected 8", KCP_FRAME_CALL, 0, 1, PATH "06000400" "01000000", ON_CHILD_REQUEST },
  { "callbacks-of-4", "expected 8", KCP_FRAME_END, 0, 1, "08000400" "01000000", ON_CHILD_CALLBACK },
  { "callbacks-on-call", "does not belong", KCP_FRAME_CALL, 0, 1, PATH "08000800" "0000000000000000",
    ON_CHILD_REQUEST },
  { "credit-on-call", "does not belong", KCP_FRAME_CALL, 0, 1, PATH "07000800" "0000000000000000",
    ON_CHILD_REQUEST },
  { "descriptors-on-call", "no descriptor", KCP_FRAME_CALL, 0, 1, PATH "81000200" "0000",
    ON_CHILD_REQUEST },
  { "path-on-cancel", "does not belong", KCP_FRAME_CANCEL, 0, 1, PATH, ON_CHILD_REQUEST },
  { "path-on-end", "does not belong", KCP_FRAME_END, 0, 1, PATH, ON_CHILD_CALLBACK },
  { "content-type-on-error", "does not belong", KCP_FRAME_ERROR, 0, 1, "82000100" "61", "{}",
    ON_CHILD_CALLBACK },
  { "field-on-ping", "does not belong", KCP_FRAME_PING, 0, 0, PATH, ON_CHILD_REQUEST },
  { "field-on-goodbye", "does not belong", KCP_FRAME_GOODBYE, 0, 0, PATH, "{}", ON_CHILD_REQUEST },
  { "no-path", "without a path", KCP_FRAME_CALL, 0, 1, ON_CHILD_REQUEST },
  { "empty-path", "1 to 255", KCP_FRAME_CALL, 0, 1, "01000000", ON_CHILD_REQUEST },
  { "control-in-path", "1 to 255", KCP_FRAME_CALL, 0, 1, "01000100" "0a", ON_CHILD_REQUEST },
  { "nul-in-path", "1 to 255", KCP_FRAME_CALL, 0, 1, "01000300" "610061", ON_CHILD_REQUEST },
  { "path-not-utf8", "1 to 255", KCP_FRAME_CALL, 0, 1, "01000100" "c3", ON_CHILD_REQUEST },
  { "content-type-not-text", "content type", KCP_FRAME_CALL, 0, 1, PATH "82000100" "00", ON_CHILD_REQUEST },
  { "unknown-must-understand", "0xf0", KCP_FRAME_CALL, 0, 1, PATH "f0000000", ON_CHILD_REQUEST },
  { "body-on-ping", "with a body", KCP_FRAME_PING, 0, 0, NULL, "x", ON_CHILD_REQUEST },
  { "body-on-pong", "with a body", KCP_FRAME_PONG, 0, 0, NULL, "x", ON_HOST_REQUEST },
  { "body-on-cancel", "with a body", KCP_FRAME_CANCEL, 0, 5, NULL, "x", ON_CHILD_REQUEST, .good = TRUE },
  { "error-not-an-object", "JSON object", KCP_FRAME_ERROR, 0, 1, NULL, "7", ON_CHILD_CALLBACK, .good = TRUE },
  { "error-wrong-member", "domain", KCP_FRAME_ERROR, 0, 1, NULL, "{\"domain\":1}", ON_CHILD_CALLBACK,
    .good = TRUE },
  { "error-no-body", "missing", KCP_FRAME_ERROR, 0, 1, NULL, NULL, ON_CHILD_CALLBACK, .good = TRUE },
  { "error-bad-json", "ERROR frame", KCP_FRAME_ERROR, 0, 1, NULL, "{\"a\":1,\"a\":2}", ON_HOST_REQUEST,
    .good = TRUE },
  { "end-never-made", "never made", KCP_FRAME_END, 0, 1, ON_CHILD_CALLBACK },
  { "item-never-made", "never made", KCP_FRAME_ITEM, 0, 2, ON_HOST_REQUEST, .good = TRUE },
  { "error-never-made", "never made", KCP_FRAME_ERROR, 0, G_MAXUINT64, NULL, "{}", ON_HOST_REQUEST },
  { "cancel-never-made", "never made", KCP_FRAME_CANCEL, 0, 6, ON_CHILD_REQUEST, .good = TRUE },
  { "id-again", "does not rise", KCP_FRAME_CALL, 0, 5, PATH, ON_CHILD_REQUEST, .good = TRUE },
  { "id-falls", "does not rise", KCP_FRAME_CALL, 0, 4, PATH, ON_HOST_CALLBACK, .good = TRUE },
  { "call-on-host-request", "no place", KCP_FRAME_CALL, 0, 1, PATH, ON_HOST_REQUEST },
  { "call-on-child-callback", "no place", KCP_FRAME_CALL, 0, 1, PATH, ON_CHILD_CALLBACK },
  { "end-on-child-request", "no place", KCP_FRAME_END, 0, 1, ON_CHILD_REQUEST },
  { "cancel-on-child-callback", "no place", KCP_FRAME_CANCEL, 0, 1, ON_CHILD_CALLBACK },
  { "hello-again", "no place", KCP_FRAME_HELLO, 0, 0, NULL, "{}", ON_CHILD_REQUEST },
  { "status-from-host", "no place", KCP_FRAME_STATUS, 0, 0, NULL, "{}", ON_CHILD_REQUEST },
  { "status-on-callback", "no place", KCP_FRAME_STATUS, 0, 0, NULL, "{}", ON_HOST_CALLBACK },
  { "log-on-request", "no place", KCP_FRAME_LOG, 0, 0, NULL, "{}", ON_HOST_REQUEST },
  { "open-from-child", "no place", KCP_FRAME_OPEN, 0, 0, NULL, "{}", ON_HOST_REQUEST },
  { "goodbye-from-child", "no place", KCP_FRAME_GOODBYE, 0, 0, NULL, "{}", ON_HOST_REQUEST },
  { "goodbye-on-callback", "no place", KCP_FRAME_GOODBYE, 0, 0, NULL, "{}", ON_CHILD_CALLBACK },
  { "credit-not-agreed", "no place", KCP_FRAME_CREDIT, 0, 1, "07000800" "0100000001000000",
    ON_CHILD_REQUEST },
  { "span-not-agreed", "no place", KCP_FRAME_SPAN, 0, 0, NULL, "{}", ON_HOST_CALLBACK },
  { "set-not-agreed", "no place", KCP_FRAME_SET, 0, 0, NULL, "{}", ON_CHILD_REQUEST },
};

static GByteArray *
from_hex (const char *digits)
{
  GByteArray *bytes = g_byte_array_new ();

  for (; digits && *digits; digits += 2)
    {
      guint8 byte = (guint8) (g_ascii_xdigit_value (digits[0]) * 16 + g_ascii_xdigit_value (digits[1]));

      g_byte_array_append (bytes, &byte, 1);
    }

  return bytes;
}

/* A call in the direction in which the bad frame comes, or one of ours that it can answer. */
static void
make_good_call (RawPair         *pair,
                const Violation *violation,
                Answer          *answer)
{
  gboolean ours = (violation->side == HOST) == (violation->socket == REQUEST);

  if (ours)
    ask (&pair->side, "ours", NULL, NULL, answer);
  else
    raw_send (pair, violation->socket, KCP_FRAME_CALL, 5, &CALL_FIELDS ("theirs"), NULL);
}

static void
test_violation (gconstpointer data)
{
  const Violation *violation = data;
  g_autoptr (RawPair) pair = raw_pair_new (violation->side, 0);
  g_autoptr (GByteArray) fields = from_hex (violation->fields);
  gsize body_size = violation->body ? strlen (violation->body) : 0;
  guint8 header[KCP_FRAME_HEADER_SIZE];
  g_auto (Answer) answer = { 0 };

  if (violation->good)
    make_good_call (pair, violation, &answer);

  kcp_frame_header_write (&(KcpFrameHeader) {
    .kind = violation->kind, .flags = violation->flags, .id = violation->id,
    .fields_length = (guint16) (violation->fields_length > 0 ? violation->fields_length : (int) fields->len),
    .length = violation->length > 0 ? (guint32) violation->length : (guint32) (fields->len + body_size),
  }, header);
  raw_send_bytes (pair, violation->socket, header, sizeof header);
  raw_send_bytes (pair, violation->socket, fields->data, fields->len);
  raw_send_bytes (pair, violation->socket, violation->body, body_size);

  assert_ended (pair, violation->socket == REQUEST ? "request socket: " : "callback socket: ",
                violation->reason);
  settle ();
  if (violation->good && answer.count > 0)
    g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_PROTOCOL);   /* what the owner closed with */
}

/* A descriptor that no frame claims: it does not stay open, either. */
static void
test_descriptors (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (CHILD, 0);
  g_autoptr (GByteArray) ping = raw_frame (KCP_FRAME_PING, 0, NULL, NULL);
  int ends[2];
  union
  {
    struct cmsghdr align;
    char space[CMSG_SPACE (sizeof (int))];
  } control = { .space = { 0 } };
  struct iovec vector = { ping->data, ping->len };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1,
                            .msg_control = control.space, .msg_controllen = sizeof control.space };
  struct cmsghdr *header = CMSG_FIRSTHDR (&message);
  char byte;

  g_assert_cmpint (pipe (ends), ==, 0);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN (sizeof (int));
  memcpy (CMSG_DATA (header), &ends[1], sizeof (int));
  g_assert_cmpint (sendmsg (pair->fds[REQUEST], &message, 0), ==, (int) ping->len);
  close (ends[1]);

  assert_ended (pair, "request socket: ", "descriptors");
  g_assert_cmpint (read (ends[0], &byte, 1), ==, 0);
  close (ends[0]);
}

/* ---- what is good, however it is cut ---- */

static void
append (GByteArray      *stream,
        KcpFrameKind     kind,
        guint64          id,
        const KcpFields *fields,
        const char      *body)
{
  g_autoptr (GByteArray) frame = raw_frame (kind, id, fields, body);

  g_byte_array_append (stream, frame->data, frame->len);
}

static void
answer_path (TestSide      *side,
             KcpInvocation *invocation)
{
  g_autofree char *text = invocation_text (invocation);

  if (side->frames->len > 100)
    g_assert_not_reached ();
  g_ptr_array_add (side->frames, g_strdup_printf ("CALL %s %s", kcp_invocation_get_path (invocation), text));
  if (g_str_equal (kcp_invocation_get_path (invocation), "kept"))
    g_ptr_array_add (side->kept, kcp_invocation_ref (invocation));
  else
    reply_text (invocation, "true");
}

/* Every kind that a child may hear on its request socket, with all fields. */
static GByteArray *
request_stream (void)
{
  GByteArray *stream = g_byte_array_new ();
  KcpFields full = CALL_FIELDS ("full");
  g_autofree char *large = g_strnfill (100000, ' ');

  full.present |= KCP_FIELD_BIT (KCP_FIELD_DEADLINE) | KCP_FIELD_BIT (KCP_FIELD_PARENT) |
                  KCP_FIELD_BIT (KCP_FIELD_BAGGAGE) | KCP_FIELD_BIT (KCP_FIELD_CONTENT_TYPE);
  full.deadline_ms = 1000000;
  full.parent = 77;
  full.baggage = "a=b";
  full.baggage_length = 3;
  full.content_type = "x/y";
  full.content_type_length = 3;

  append (stream, KCP_FRAME_OPEN, 0, NULL, "{}");
  append (stream, KCP_FRAME_CALL, 1, &CALL_FIELDS ("a"), NULL);
  append (stream, KCP_FRAME_PING, 0, NULL, NULL);
  append (stream, KCP_FRAME_CALL, 7, &full, "\x01\x02");
  append (stream, KCP_FRAME_CALL, 8, &CALL_FIELDS ("kept"), "1");
  append (stream, KCP_FRAME_CANCEL, 8, NULL, NULL);
  append (stream, KCP_FRAME_PONG, 0, NULL, NULL);
  memcpy (large + 99990, "\"last\"", 6);
  append (stream, KCP_FRAME_CALL, 9, &CALL_FIELDS ("large"), large);
  append (stream, KCP_FRAME_GOODBYE, 0, NULL, "{\"grace_ms\":1}");
  return stream;
}

static void
check_request_stream (RawPair *pair)
{
  TestSide *side = &pair->side;
  static const KcpFrameKind answers[] = { KCP_FRAME_END, KCP_FRAME_PONG, KCP_FRAME_END, KCP_FRAME_END };
  static const guint64 ids[] = { 1, 0, 7, 9 };

  WAIT_FOR (side->frames->len == 6);
  g_assert_cmpstr (side->frames->pdata[0], ==, "OPEN {}");
  g_assert_cmpstr (side->frames->pdata[1], ==, "CALL a ");
  g_assert_cmpstr (side->frames->pdata[2], ==, "CALL full \x01\x02");
  g_assert_cmpstr (side->frames->pdata[3], ==, "CALL kept 1");
  g_assert_true (g_str_has_prefix (side->frames->pdata[4], "CALL large "));
  g_assert_true (g_str_has_suffix (side->frames->pdata[4], " \"last\"    "));
  g_assert_cmpstr (side->frames->pdata[5], ==, "GOODBYE {\"grace_ms\":1}");
  g_assert_false (kcp_invocation_is_open (side->kept->pdata[0]));

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      g_auto (KcpFrame) frame = { .body = NULL };

      raw_expect (pair, REQUEST, answers[i], &frame);
      g_assert_cmpuint (frame.header.id, ==, ids[i]);
    }
  raw_expect_none (pair, REQUEST);
  g_assert_cmpuint (side->lost, ==, 0);
}

static void
test_byte_by_byte (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (CHILD, 0);
  g_autoptr (GByteArray) stream = request_stream ();
  guint at = 0;

  pair->side.handler = answer_path;
  /* The large body would take for ever; its first and last bytes do. */
  for (; at < 700; at++)
    {
      raw_send_bytes (pair, REQUEST, stream->data + at, 1);
      settle ();
    }
  raw_send_bytes (pair, REQUEST, stream->data + at, stream->len - 400 - at);
  for (at = stream->len - 400; at < stream->len; at++)
    {
      raw_send_bytes (pair, REQUEST, stream->data + at, 1);
      settle ();
    }
  check_request_stream (pair);
}

static void
test_random_splits (void)
{
  for (guint round = 0; round < 100; round++)
    {
      g_autoptr (RawPair) pair = raw_pair_new (CHILD, 0);
      g_autoptr (GByteArray) stream = request_stream ();

      pair->side.handler = answer_path;
      for (guint at = 0, count; at < stream->len; at += count)
        {
          count = (guint) g_test_rand_int_range (1, round < 50 ? 200 : 40000);
          count = MIN (count, stream->len - at);
          raw_send_bytes (pair, REQUEST, stream->data + at, count);
          if (g_test_rand_bit ())
            g_main_context_iteration (NULL, FALSE);
        }
      check_request_stream (pair);
    }
}

/* What a host hears, byte by byte. */
static void
test_answers_byte_by_byte (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (HOST, 0);
  g_autoptr (GByteArray) stream = g_byte_array_new ();
  g_auto (Answer) well = { 0 };
  g_auto (Answer) badly = { 0 };
  g_autoptr (KcpMessage) message = text_message ("s", NULL);
  g_autoptr (KcpStream) items = NULL;
  g_autoptr (KcpMessage) item = NULL;

  ask (&pair->side, "x", NULL, NULL, &well);
  ask (&pair->side, "y", NULL, NULL, &badly);
  items = kcp_link_ask_stream (pair->side.link, message, NULL);
  append (stream, KCP_FRAME_STATUS, 0, NULL, "{\"phase\":\"x\"}");
  append (stream, KCP_FRAME_ITEM, 3, NULL, "\"item\"");
  append (stream, KCP_FRAME_ERROR, 2, NULL, "{\"domain\":\"kcp\",\"code\":\"busy\",\"message\":\"b\"}");
  append (stream, KCP_FRAME_END, 1, NULL, "[1]");
  append (stream, KCP_FRAME_END, 3, NULL, NULL);
  for (guint at = 0; at < stream->len; at++)
    {
      raw_send_bytes (pair, REQUEST, stream->data + at, 1);
      settle ();
    }

  WAIT_FOR (well.count + badly.count == 2 && kcp_stream_is_done (items));
  assert_message (well.message, "[1]");
  g_assert_error (badly.error, KCP_ERROR, KCP_ERROR_BUSY);
  item = kcp_stream_next (items, NULL, NULL);
  assert_message (item, "\"item\"");
  g_assert_cmpstr (pair->side.frames->pdata[0], ==, "STATUS {\"phase\":\"x\"}");
}

/* A later version may say more than we know. */
static void
test_unknown_field_is_skipped (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (CHILD, 0);
  g_autoptr (GByteArray) fields = from_hex (PATH "70000300" "010203" "7f000000" "70000000");
  guint8 header[KCP_FRAME_HEADER_SIZE];
  KcpFrameHeader good = { .kind = KCP_FRAME_CALL, .id = 1, .fields_length = (guint16) fields->len,
                          .length = fields->len };

  kcp_frame_header_write (&good, header);
  raw_send_bytes (pair, REQUEST, header, sizeof header);
  raw_send_bytes (pair, REQUEST, fields->data, fields->len);
  WAIT_FOR (pair->side.invoked == 1);
  g_assert_cmpuint (pair->side.lost, ==, 0);
}

/* ---- ends ---- */

static void
test_end_of_file (void)
{
  g_autoptr (RawPair) whole = raw_pair_new (CHILD, 0);
  g_autoptr (RawPair) cut = raw_pair_new (CHILD, 0);

  whole->side.close_when_lost = FALSE;
  raw_send (whole, REQUEST, KCP_FRAME_CALL, 1, &CALL_FIELDS ("a"), NULL);
  shutdown (whole->fds[REQUEST], SHUT_WR);
  WAIT_FOR (whole->side.lost == 1);
  g_assert_no_error (whole->side.lost_error);
  g_assert_cmpuint (whole->side.invoked, ==, 1);   /* what came before the end is served */
  g_assert_false (kcp_link_is_whole (whole->side.link));

  raw_send_bytes (cut, CALLBACK, "\x02", 1);
  shutdown (cut->fds[CALLBACK], SHUT_WR);
  WAIT_FOR (cut->side.lost == 1);
  g_assert_error (cut->side.lost_error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
  g_assert_nonnull (strstr (cut->side.lost_error->message, "middle of a frame"));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (violations); i++)
    {
      g_autofree char *name = g_strconcat ("/channel/violation/", violations[i].name, NULL);

      g_test_add_data_func (name, &violations[i], test_violation);
    }
  g_test_add_func ("/channel/violation/descriptors", test_descriptors);
  g_test_add_func ("/channel/byte-by-byte", test_byte_by_byte);
  g_test_add_func ("/channel/random-splits", test_random_splits);
  g_test_add_func ("/channel/answers-byte-by-byte", test_answers_byte_by_byte);
  g_test_add_func ("/channel/unknown-field-is-skipped", test_unknown_field_is_skipped);
  g_test_add_func ("/channel/end-of-file", test_end_of_file);

  return g_test_run ();
}
