/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error.h"
#include "kcp-frame-reader-private.h"
#include "kcp-frame-writer-private.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE (16u * 1024)   /* from here on a body is not copied */

/* A writer, a socket that takes little at a time, and a plain model of what has to happen: a frame
 * that has begun is finished, then the oldest urgent one goes, then the oldest ordered one. How much
 * has left is known from the writer's pending count; what it was has to be what the model says. */
typedef struct
{
  KcpFrameWriter *writer;
  KcpFrameReader *reader;
  int pair[2];
  GQueue lanes[KCP_N_LANES];  /* of GBytes: whole frames that have not begun */
  gsize queued;               /* bytes in them */
  GByteArray *begun;          /* all frames that have begun, one behind the other */
  gsize left, received;       /* how much of them has left, and is in frames taken */
  GArray *taken;              /* of Taken */
  gboolean stamped;           /* bytes may differ in a deadline */
} Link;

typedef struct
{
  KcpFrameHeader header;
  KcpFields fields;   /* only its numbers are there still */
} Taken;

static Link
link_new (int send_buffer)
{
  Link self = {
    .writer = kcp_frame_writer_new (),
    .reader = kcp_frame_reader_new (KCP_FRAME_DEFAULT_LIMIT),
    .begun = g_byte_array_new (),
    .taken = g_array_new (FALSE, FALSE, sizeof (Taken)),
  };

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self.pair));
  g_assert_no_errno (setsockopt (self.pair[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer));
  return self;
}

static void
link_clear (Link *self)
{
  g_clear_pointer (&self->writer, kcp_frame_writer_free);
  kcp_frame_reader_free (self->reader);
  for (guint i = 0; i < KCP_N_LANES; i++)
    g_queue_clear_full (&self->lanes[i], (GDestroyNotify) g_bytes_unref);
  g_byte_array_unref (self->begun);
  g_array_unref (self->taken);
  close (self->pair[0]);
  close (self->pair[1]);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Link, link_clear)

static void
assert_pending (const Link *self)
{
  g_assert_cmpuint (kcp_frame_writer_get_pending (self->writer), ==,
                    self->queued + self->begun->len - self->left);
}

static GBytes *
make_body (gsize size)
{
  static guint8 seed;
  guint8 *data = g_malloc (size + 1);

  seed += 41;
  for (gsize i = 0; i < size; i++)
    data[i] = (guint8) (i * 5 + (i >> 8) + seed);
  return g_bytes_new_take (data, size);
}

static GList *
find_queued_call (Link    *self,
                  guint64  id)
{
  for (GList *l = self->lanes[KCP_LANE_ORDERED].head; l; l = l->next)
    {
      const guint8 *bytes = g_bytes_get_data (l->data, NULL);

      if (bytes[4] == KCP_FRAME_CALL && kcp_get_u64 (bytes + 8) == id)
        return l;
    }
  return NULL;
}

/* A CANCEL goes without fields and body; it is urgent, but does not overtake its own CALL. */
static void
push_full (Link            *self,
           KcpFrameKind     kind,
           guint64          id,
           const KcpFields *fields,
           gint64           deadline_at,
           GBytes          *body)
{
  gboolean urgent = kind == KCP_FRAME_CANCEL ? find_queued_call (self, id) == NULL
                    : kind == KCP_FRAME_PING || kind == KCP_FRAME_PONG || kind == KCP_FRAME_CREDIT;
  gsize fields_size = fields && kind != KCP_FRAME_CANCEL ? kcp_fields_size (fields) : 0;
  gsize body_size = body && kind != KCP_FRAME_CANCEL ? g_bytes_get_size (body) : 0;
  const KcpFrameHeader header = { .kind = (guint8) kind, .flags = kind == KCP_FRAME_CALL && id % 2, .id = id,
                                  .length = (guint32) (fields_size + body_size),
                                  .fields_length = (guint16) fields_size };
  gsize size = KCP_FRAME_HEADER_SIZE + header.length;
  guint8 *bytes = g_malloc (size), *deadline;

  kcp_frame_header_write (&header, bytes);
  if (fields_size > 0)
    kcp_fields_write (fields, bytes + KCP_FRAME_HEADER_SIZE, &deadline);
  if (body_size > 0)
    memcpy (bytes + size - body_size, g_bytes_get_data (body, NULL), body_size);
  g_queue_push_tail (&self->lanes[urgent ? KCP_LANE_URGENT : KCP_LANE_ORDERED],
                     g_bytes_new_take (bytes, size));
  self->queued += size;

  if (kind == KCP_FRAME_CANCEL)
    kcp_frame_writer_push_cancel (self->writer, id);
  else
    kcp_frame_writer_push (self->writer, kind, header.flags, id, fields, deadline_at, body);
  assert_pending (self);
}

/* A frame with a body of that size; -1: none. Every third id brings fields with it. */
static void
push (Link         *self,
      KcpFrameKind  kind,
      guint64       id,
      gssize        body_size)
{
  const KcpFields fields = { .present = KCP_FIELD_BIT (KCP_FIELD_PATH) | KCP_FIELD_BIT (KCP_FIELD_PARENT),
                             .path = "some/path", .path_length = 9, .parent = id * 3 };
  g_autoptr (GBytes) body = body_size >= 0 ? make_body ((gsize) body_size) : NULL;

  push_full (self, kind, kcp_frame_kind_is_link (kind) ? 0 : id, id % 3 ? NULL : &fields, 0, body);
}

/* Takes back a call; whether that works is for the model to say. */
static gboolean
take_back (Link    *self,
           guint64  id)
{
  GList *found = find_queued_call (self, id);

  g_assert_cmpint (kcp_frame_writer_remove_call (self->writer, id), ==, found != NULL);
  if (found)
    {
      self->queued -= g_bytes_get_size (found->data);
      g_bytes_unref (found->data);
      g_queue_delete_link (&self->lanes[KCP_LANE_ORDERED], found);
    }
  assert_pending (self);
  return found != NULL;
}

static KcpFlush
flush (Link *self)
{
  gsize before = kcp_frame_writer_get_pending (self->writer);
  KcpFlush result = kcp_frame_writer_flush (self->writer, self->pair[0], NULL);

  self->left += before - kcp_frame_writer_get_pending (self->writer);
  while (self->begun->len < self->left)
    {
      KcpLane lane = self->lanes[KCP_LANE_URGENT].length > 0 ? KCP_LANE_URGENT : KCP_LANE_ORDERED;
      g_autoptr (GBytes) frame = g_queue_pop_head (&self->lanes[lane]);

      g_assert_nonnull (frame);
      g_byte_array_append (self->begun, g_bytes_get_data (frame, NULL), (guint) g_bytes_get_size (frame));
      self->queued -= g_bytes_get_size (frame);
    }

  assert_pending (self);
  if (result != KCP_FLUSH_CLOSED)
    g_assert_cmpint (kcp_frame_writer_get_pending (self->writer) > 0, ==, result == KCP_FLUSH_BLOCKED);
  return result;
}

/* One receive; each whole frame has to be the next that began. */
static void
receive (Link *self)
{
  KcpFrame frame;

  g_assert_cmpint (kcp_frame_reader_fill (self->reader, self->pair[1], NULL), <=, KCP_FILL_AGAIN);
  while (kcp_frame_reader_take (self->reader, &frame, NULL) == KCP_TAKE_FRAME)
    {
      const guint8 *expected = self->begun->data + self->received;
      gsize fields_size = frame.header.fields_length, body_size = frame.header.length - fields_size;
      Taken taken = { 0 };

      self->received += KCP_FRAME_HEADER_SIZE + frame.header.length;
      g_assert_cmpuint (self->received, <=, self->left);
      g_assert_true (kcp_frame_header_read (expected, G_MAXUINT32, &taken.header, NULL));
      g_assert_cmpmem (&taken.header, sizeof taken.header, &frame.header, sizeof frame.header);
      expected += KCP_FRAME_HEADER_SIZE;
      g_assert_true (self->stamped || memcmp (frame.fields, expected, fields_size) == 0);
      if (body_size > 0)
        g_assert_true (memcmp (g_bytes_get_data (frame.body, NULL), expected + fields_size, body_size) == 0);

      g_assert_true (kcp_fields_read (frame.fields, fields_size, &taken.fields, NULL));
      g_array_append_val (self->taken, taken);
      kcp_frame_clear (&frame);
    }
}

/* Until all has left and arrived. */
static void
finish (Link *self)
{
  while (flush (self) == KCP_FLUSH_BLOCKED || self->received < self->left)
    receive (self);
  g_assert_cmpuint (self->received, ==, self->begun->len);
  g_assert_true (kcp_frame_reader_is_empty (self->reader));
}

#define NTH(link, n) g_array_index ((link).taken, Taken, n)

/* Begins a frame that does not leave in one go. */
static void
block (Link         *self,
       KcpFrameKind  kind)
{
  push (self, kind, 100001, 100000);
  g_assert_cmpint (flush (self), ==, KCP_FLUSH_BLOCKED);
}

/* Behind a frame that has begun, urgent or not: small, copied, not copied, more than the socket takes. */
static void
test_order (void)
{
  const struct { KcpFrameKind first; guint8 pushed[8], expected[8]; } rows[] = {
    { KCP_FRAME_ITEM, { 4, 5, 13, 8, 4, 7, 14 }, { 13, 8, 7, 14, 4, 5, 4 } },
    { KCP_FRAME_PING, { 4, 5, 13, 8, 4, 7, 14 }, { 13, 8, 7, 14, 4, 5, 4 } },
    { KCP_FRAME_PONG, { 3, 4, 5, 6, 9, 12, 15 }, { 3, 4, 5, 6, 9, 12, 15 } },
    { KCP_FRAME_CALL, { 4, 15, 10, 11, 13 }, { 13, 4, 15, 10, 11 } },
  };
  const gssize sizes[] = { 10, LARGE - 1, LARGE, 50000 };

  for (guint n = 0; n < G_N_ELEMENTS (rows) * G_N_ELEMENTS (sizes); n++)
    {
      g_auto (Link) link = link_new (1);
      guint row = n / G_N_ELEMENTS (sizes);

      block (&link, rows[row].first);
      for (guint i = 0; rows[row].pushed[i] > 0; i++)
        push (&link, rows[row].pushed[i], 7 + i, sizes[n % G_N_ELEMENTS (sizes)]);
      finish (&link);
      for (guint i = 0; rows[row].pushed[i] > 0; i++)
        g_assert_cmpuint (NTH (link, i + 1).header.kind, ==, rows[row].expected[i]);
    }
}

/* Anything at any time; every tenth time so many that what has left is cut off in front. */
static void
test_random (void)
{
  const gssize sizes[] = { -1, 0, 1, 100, 2000, LARGE - 1, LARGE, LARGE + 1, 70000 };
  guint removed = 0;

  for (guint round = 0; round < 30; round++)
    {
      g_auto (Link) link = link_new (round % 2 ? 1 : 20000);
      guint64 id = 0;

      for (; round % 10 == 0 && id < 2500; id++)
        push (&link, KCP_FRAME_CALL, id + 1, (gssize) (id % 40));
      for (guint i = 0; i < 400; i++)
        {
          guint64 old = id * (guint64) g_test_rand_int_range (50, 100) / 100 + 1;
          KcpFrameKind kind = (KcpFrameKind) g_test_rand_int_range (1, 16);
          int what = g_test_rand_int_range (0, 10);

          if (what < 1)
            flush (&link);
          else if (what < 3)
            receive (&link);
          else if (what < 5)
            removed += take_back (&link, old);
          else if (what < 6)
            push (&link, KCP_FRAME_CANCEL, old, -1);
          else
            push (&link, what < 8 ? KCP_FRAME_CALL : kind, ++id,
                  sizes[g_test_rand_int_range (0, G_N_ELEMENTS (sizes))]);
        }
      finish (&link);
    }

  g_assert_cmpuint (removed, >, 50);
}

/* Every choice of eight calls is taken back, behind a begun frame and with nothing begun. Six are in
 * the buffer, enough for the rest to move together when most of them go. */
static void
test_remove (void)
{
  for (guint set = 0; set < 512; set++)
    {
      g_auto (Link) link = link_new (1);

      if (set & 256)
        block (&link, KCP_FRAME_CALL);
      for (guint i = 0; i < 8; i++)
        push (&link, KCP_FRAME_CALL, i + 1, i % 4 == 1 ? LARGE : LARGE - 1 - i);
      for (guint i = 0; i < 8; i++)
        if (set & 1u << i)
          g_assert_true (take_back (&link, i + 1));
      finish (&link);
    }
}

/* A CALL that has begun is only cancelled, at once; a CANCEL waits for its own CALL to begin. */
static void
test_remove_or_cancel (void)
{
  g_auto (Link) link = link_new (1);
  const guint64 expected[] = { 100001, 100001, 4, 1, 2, 1 };

  block (&link, KCP_FRAME_CALL);
  push (&link, KCP_FRAME_CALL, 1, 10);
  push (&link, KCP_FRAME_ITEM, 2, 10);
  push (&link, KCP_FRAME_CALL, 3, 10);
  g_assert_false (take_back (&link, 100001));
  g_assert_false (take_back (&link, 2));
  g_assert_true (take_back (&link, 3));
  g_assert_false (take_back (&link, 3));
  push (&link, KCP_FRAME_CANCEL, 1, -1);
  push (&link, KCP_FRAME_CANCEL, 100001, -1);
  push (&link, KCP_FRAME_CANCEL, 4, -1);
  finish (&link);

  g_assert_false (take_back (&link, 100001));
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    g_assert_cmpuint (NTH (link, i).header.id, ==, expected[i]);
}

/* 0 where the system does not say; the test then tests nothing. */
static gsize
resident_bytes (void)
{
  g_autofree char *text = NULL;

  g_file_get_contents ("/proc/self/statm", &text, NULL, NULL);
  return text ? g_ascii_strtoull (strchr (text, ' '), NULL, 10) * (gsize) sysconf (_SC_PAGESIZE) : 0;
}

/* What was taken back while nothing could leave must not pile up (64 MiB if it does). */
static void
test_remove_bounded (void)
{
  g_autoptr (KcpFrameWriter) writer = kcp_frame_writer_new ();
  g_autoptr (GBytes) body = make_body (LARGE - 1);
  gsize before = resident_bytes ();

  for (guint id = 1; id <= 4096; id++)
    {
      kcp_frame_writer_push (writer, KCP_FRAME_CALL, 0, id, NULL, 0, body);
      if (id > 5)
        g_assert_true (kcp_frame_writer_remove_call (writer, id - 5));
    }
  g_assert_cmpuint (resident_bytes (), <, before + 32 * 1024 * 1024);
}

static void
count_up (gpointer data)
{
  (*(guint *) data)++;
}

/* A large body is kept until it has left, is taken back, or the writer goes; a small one is not. */
static void
test_bodies (void)
{
  static const guint8 data[LARGE + 1];

  for (guint i = 0; i < 9; i++)
    {
      gboolean copied = i / 3 == 0;
      guint freed = 0;
      GBytes *body = g_bytes_new_with_free_func (data, LARGE - 1 + i / 3, count_up, &freed);
      g_auto (Link) link = link_new (1);

      push_full (&link, KCP_FRAME_CALL, 1, NULL, 0, body);
      g_bytes_unref (body);
      g_assert_cmpuint (freed, ==, copied);
      if (i % 3 == 0)
        g_assert_true (take_back (&link, 1));
      else
        g_assert_cmpint (flush (&link), ==, KCP_FLUSH_BLOCKED);

      g_assert_cmpuint (freed, ==, copied || i % 3 == 0);
      if (i % 3 == 1)
        g_clear_pointer (&link.writer, kcp_frame_writer_free);
      else
        finish (&link);
      g_assert_cmpuint (freed, ==, 1);
    }
}

#define AS_PUSHED 5000000u

/* A frame that had to wait is stamped anew; one that has begun, or never waited, is left alone. */
static void
test_deadline (void)
{
  const KcpFields fields = { .present = KCP_FIELD_BIT (KCP_FIELD_DEADLINE), .deadline_ms = AS_PUSHED };
  const struct { gint64 at; gboolean large; KcpFlush flush; guint32 least, most; } rows[] = {
    { 1, FALSE, KCP_FLUSH_DONE, AS_PUSHED, AS_PUSHED },
    { 1, TRUE, KCP_FLUSH_BLOCKED, AS_PUSHED, AS_PUSHED },
    { 1, FALSE, KCP_FLUSH_BLOCKED, 0, 0 },
    { g_get_monotonic_time () + G_TIME_SPAN_HOUR, FALSE, KCP_FLUSH_BLOCKED, 1, 3600000 },
    { 0, FALSE, KCP_FLUSH_BLOCKED, AS_PUSHED, AS_PUSHED },
    { 1, TRUE, KCP_FLUSH_BLOCKED, 0, 0 },
  };
  g_autoptr (GBytes) body = make_body (100000);
  g_auto (Link) link = link_new (1);

  link.stamped = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      push_full (&link, KCP_FRAME_CALL, i + 1, &fields, rows[i].at, rows[i].large ? body : NULL);
      g_assert_cmpint (flush (&link), ==, rows[i].flush);
    }
  finish (&link);
  push_full (&link, KCP_FRAME_CALL, 101, &fields, 1, NULL);
  finish (&link);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    g_assert_true (NTH (link, i).fields.deadline_ms - rows[i].least <= rows[i].most - rows[i].least);
  g_assert_cmpuint (NTH (link, G_N_ELEMENTS (rows)).fields.deadline_ms, ==, AS_PUSHED);
  g_assert_cmpuint (kcp_frame_deadline_ms (0), ==, 0);
  g_assert_cmpuint (kcp_frame_deadline_ms (G_MAXINT64), ==, G_MAXUINT32);

  /* Wherever in a frame the socket stopped, the number is one or the other. */
  for (guint size = 0; size < 100; size++)
    {
      g_auto (Link) many = link_new (1);
      g_autoptr (GBytes) filler = make_body (size);

      many.stamped = TRUE;
      for (guint i = 1; i <= 300; i++)
        push_full (&many, KCP_FRAME_CALL, i, &fields, 1, filler);
      finish (&many);
      for (guint i = 0; i < 300; i++)
        g_assert_true (NTH (many, i).fields.deadline_ms % AS_PUSHED == 0);
    }
}

/* A reader that is gone is neither an error nor a signal; a bad socket is an error. */
static void
test_closed (void)
{
  signal (SIGPIPE, SIG_DFL);

  for (guint round = 0; round < 4; round++)
    {
      g_auto (Link) link = link_new (1);
      g_autoptr (GError) error = NULL;

      if (round & 1)
        block (&link, KCP_FRAME_ITEM);
      if (round & 2)
        receive (&link);
      close (link.pair[1]);
      link.pair[1] = -1;
      push (&link, KCP_FRAME_PING, 0, -1);
      g_assert_cmpint (flush (&link), ==, KCP_FLUSH_CLOSED);
      g_assert_cmpint (flush (&link), ==, KCP_FLUSH_CLOSED);
      g_assert_cmpint (kcp_frame_writer_flush (link.writer, -1, &error), ==, KCP_FLUSH_ERROR);
      g_assert_error (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
      assert_pending (&link);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/frame-writer/order", test_order);
  g_test_add_func ("/frame-writer/random", test_random);
  g_test_add_func ("/frame-writer/remove/choice", test_remove);
  g_test_add_func ("/frame-writer/remove/or-cancel", test_remove_or_cancel);
  g_test_add_func ("/frame-writer/remove/bounded", test_remove_bounded);
  g_test_add_func ("/frame-writer/bodies", test_bodies);
  g_test_add_func ("/frame-writer/deadline", test_deadline);
  g_test_add_func ("/frame-writer/closed", test_closed);

  return g_test_run ();
}
