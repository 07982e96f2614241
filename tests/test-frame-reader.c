/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error.h"
#include "kcp-frame-reader-private.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is sent is one string of bytes; frames taken are compared with it, one behind the other. */

#define BUFFER 65536u

static void
append_frame (GByteArray *stream,
              guint       kind,
              guint       fields_length,
              guint       length)
{
  guint8 bytes[KCP_FRAME_HEADER_SIZE];
  const KcpFrameHeader header = {
    .kind = (guint8) kind,
    .id = kcp_frame_kind_is_link ((guint8) kind) ? 0 : stream->len + 1,
    .fields_length = (guint16) fields_length,
    .length = length,
  };

  kcp_frame_header_write (&header, bytes);
  g_byte_array_append (stream, bytes, sizeof bytes);
  g_byte_array_set_size (stream, stream->len + length);
  for (guint i = stream->len - length; i < stream->len; i++)
    stream->data[i] = (guint8) (i * 7 + (i >> 8) * 13);
}

/* A reader, what it is sent, and the frames it gave. */
typedef struct
{
  KcpFrameReader *reader;
  GByteArray *stream;
  GArray *frames;            /* of KcpFrame */
  gsize taken;               /* bytes of the stream that were in them */
  gboolean only_when_ready;  /* ask ready() first, always */
} Side;

#define SIDE(limit, stream_) {                                                                         \
    .reader = kcp_frame_reader_new (limit),                                                            \
    .stream = stream_ ? g_byte_array_ref (stream_) : g_byte_array_new (),                              \
    .frames = g_array_new (FALSE, FALSE, sizeof (KcpFrame)) }

static void
assert_body (const KcpFrame *frame,
             const guint8   *expected)
{
  gsize size = frame->body ? g_bytes_get_size (frame->body) : 0;

  g_assert_cmpuint (frame->header.fields_length + size, ==, frame->header.length);
  if (size > 0)
    g_assert_true (memcmp (g_bytes_get_data (frame->body, NULL), expected, size) == 0);
}

/* Bodies have stayed as they were while the reader went on, and stay so without it. */
static void
side_clear (Side *side)
{
  gsize at = 0;

  kcp_frame_reader_free (side->reader);
  for (guint i = 0; i < side->frames->len; i++)
    {
      KcpFrame *frame = &g_array_index (side->frames, KcpFrame, i);

      at += KCP_FRAME_HEADER_SIZE + frame->header.length;
      assert_body (frame, side->stream->data + at - frame->header.length + frame->header.fields_length);
      kcp_frame_clear (frame);
    }
  g_array_unref (side->frames);
  g_byte_array_unref (side->stream);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Side, side_clear)

/* Takes over the body. */
static void
keep_frame (Side           *side,
            const KcpFrame *frame)
{
  const guint8 *expected = side->stream->data + side->taken;
  guint8 header[KCP_FRAME_HEADER_SIZE];

  side->taken += sizeof header + frame->header.length;
  g_assert_cmpuint (side->taken, <=, side->stream->len);
  kcp_frame_header_write (&frame->header, header);
  g_assert_cmpmem (header, sizeof header, expected, sizeof header);
  expected += sizeof header;
  g_assert_true (memcmp (frame->fields, expected, frame->header.fields_length) == 0);
  assert_body (frame, expected + frame->header.fields_length);
  g_array_append_val (side->frames, *frame);
}

/* Takes all there is; ready() has to know beforehand what take() says. */
static KcpTake
take_all (Side    *side,
          GError **error)
{
  for (;;)
    {
      KcpFrame frame;
      gboolean ready = kcp_frame_reader_ready (side->reader);
      KcpTake take;

      if (!ready && side->only_when_ready)
        return KCP_TAKE_MORE;

      take = kcp_frame_reader_take (side->reader, &frame, error);
      g_assert_cmpint (ready, ==, take != KCP_TAKE_MORE);
      if (take != KCP_TAKE_FRAME)
        return take;
      keep_frame (side, &frame);
    }
}

static void
feed_all (Side  *side,
          gsize  at,
          gsize  length)
{
  for (gsize count; length > 0; at += count, length -= count)
    {
      count = kcp_frame_reader_feed (side->reader, side->stream->data + at, length);
      g_assert_cmpuint (count, >, 0);
      g_assert_cmpint (take_all (side, NULL), ==, KCP_TAKE_MORE);
    }
}

static void
assert_done (Side *side)
{
  g_assert_cmpuint (side->taken, ==, side->stream->len);
  g_assert_true (kcp_frame_reader_is_empty (side->reader));
  g_assert_false (kcp_frame_reader_ready (side->reader));
}

#define make_pair(pair)                                                                                \
  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))

static gsize
send_some (int           fd,
           const guint8 *data,
           gsize         length)
{
  gssize count = send (fd, data, length, MSG_NOSIGNAL);

  g_assert_true (count >= 0 || errno == EAGAIN);
  return (gsize) MAX (count, 0);
}

/* Through a socket, @step bytes a send (0: any number), as fast as the reader takes them. A second
 * reader is fed the same bytes, and asked only when it is ready: both give the same frames. */
static void
pump (GByteArray *stream,
      gsize       limit,
      gsize       step)
{
  g_auto (Side) side = SIDE (limit, stream);
  g_auto (Side) fed = SIDE (limit, stream);
  int pair[2];

  fed.only_when_ready = TRUE;
  make_pair (pair);
  for (gsize sent = 0; sent < stream->len;)
    {
      gsize size = step ? step : 1u << g_test_rand_int_range (0, 19);
      gsize count = send_some (pair[0], stream->data + sent, MIN (size, stream->len - sent));
      KcpFill fill;

      while ((fill = kcp_frame_reader_fill (side.reader, pair[1], NULL)) == KCP_FILL_DATA)
        g_assert_cmpint (take_all (&side, NULL), ==, KCP_TAKE_MORE);
      g_assert_cmpint (fill, ==, KCP_FILL_AGAIN);

      feed_all (&fed, sent, count);
      g_assert_cmpuint (side.taken, ==, fed.taken);
      g_assert_cmpuint (side.frames->len, ==, fed.frames->len);
      g_assert_cmpint (kcp_frame_reader_is_empty (side.reader), ==, kcp_frame_reader_is_empty (fed.reader));
      sent += count;
    }
  assert_done (&side);
  assert_done (&fed);

  close (pair[0]);
  g_assert_cmpint (kcp_frame_reader_fill (side.reader, pair[1], NULL), ==, KCP_FILL_EOF);
  close (pair[1]);
}

static void
test_byte_by_byte (void)
{
  g_autoptr (GByteArray) stream = g_byte_array_new ();

  for (guint kind = 1; kind <= 15; kind++)
    {
      append_frame (stream, kind, 0, 0);
      append_frame (stream, kind, kind * 3, kind * 3);
      append_frame (stream, kind, kind * 2, kind * 5);
    }
  pump (stream, 75, 1);
}

static void
test_random_splits (void)
{
  for (guint round = 0; round < 20; round++)
    {
      g_autoptr (GByteArray) stream = g_byte_array_new ();

      for (guint i = 0; i < 40; i++)
        {
          int length = g_test_rand_int_range (0, 1 << g_test_rand_int_range (1, 18));
          int fields = g_test_rand_bit () ? g_test_rand_int_range (0, MIN (length, 65535) + 1) : 0;

          append_frame (stream, (guint) g_test_rand_int_range (1, 16), (guint) fields, (guint) length);
        }
      pump (stream, KCP_FRAME_DEFAULT_LIMIT, 0);
    }
}

/* One receive, many frames. While whole frames fill the buffer nothing more goes in and nothing is
 * lost; one frame taken makes room for one. */
static void
test_many_at_once (void)
{
  g_auto (Side) side = SIDE (BUFFER, NULL);
  KcpFrame frame;
  guint size = KCP_FRAME_HEADER_SIZE + 16, count = BUFFER / size;
  int pair[2];

  for (guint i = 0; i < count * 3 / 2; i++)
    append_frame (side.stream, 1 + i % 15, i % 16, 16);
  make_pair (pair);
  g_assert_cmpuint (send_some (pair[0], side.stream->data, side.stream->len), ==, side.stream->len);

  g_assert_cmpint (kcp_frame_reader_fill (side.reader, pair[1], NULL), ==, KCP_FILL_DATA);
  g_assert_cmpint (kcp_frame_reader_fill (side.reader, pair[1], NULL), ==, KCP_FILL_AGAIN);
  g_assert_cmpuint (kcp_frame_reader_feed (side.reader, side.stream->data, 100), ==, 0);
  g_assert_cmpint (kcp_frame_reader_take (side.reader, &frame, NULL), ==, KCP_TAKE_FRAME);
  keep_frame (&side, &frame);
  g_assert_cmpint (kcp_frame_reader_fill (side.reader, pair[1], NULL), ==, KCP_FILL_DATA);
  g_assert_cmpint (take_all (&side, NULL), ==, KCP_TAKE_MORE);
  g_assert_cmpuint (side.frames->len, ==, count + 1);

  g_assert_cmpint (kcp_frame_reader_fill (side.reader, pair[1], NULL), ==, KCP_FILL_DATA);
  g_assert_cmpint (take_all (&side, NULL), ==, KCP_TAKE_MORE);
  assert_done (&side);
  close (pair[0]);
  close (pair[1]);
}

/* Frames of nearly the buffer's size and just above it, alone and behind a small one. */
static void
test_boundary (gconstpointer data)
{
  gsize step = GPOINTER_TO_SIZE (data);

  for (guint length = BUFFER - 17; length <= BUFFER + 17; length++)
    {
      const guint fields[] = { 0, 100, MIN (length, 65535) - 1, MIN (length, 65535) };
      g_autoptr (GByteArray) stream = g_byte_array_new ();

      append_frame (stream, KCP_FRAME_ITEM, length % 2 * 1000, length - KCP_FRAME_HEADER_SIZE);
      append_frame (stream, KCP_FRAME_PING, 0, length % 3);
      for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
        append_frame (stream, KCP_FRAME_CALL, fields[i], length);
      pump (stream, KCP_FRAME_DEFAULT_LIMIT, step);
    }
}

/* Up to the limit itself, twice, so that a block follows a block, then small ones again. */
static void
test_large (gconstpointer data)
{
  guint length = GPOINTER_TO_UINT (data);
  g_autoptr (GByteArray) stream = g_byte_array_new ();

  append_frame (stream, KCP_FRAME_LOG, 3, 100);
  append_frame (stream, KCP_FRAME_ITEM, 1000, length);
  append_frame (stream, KCP_FRAME_ITEM, 0, length);
  append_frame (stream, KCP_FRAME_PING, 0, 0);
  pump (stream, length, G_MAXSIZE);
}

/* Refused at the header: no block is made (the buffer still takes exactly the rest of its size),
 * and the answer stays the same. */
static void
test_limit (void)
{
  const struct { gsize limit; guint32 length; } rows[] = {
    { 0, 1 }, { 100, 101 }, { KCP_FRAME_HELLO_LIMIT, KCP_FRAME_HELLO_LIMIT + 1 },
    { KCP_FRAME_DEFAULT_LIMIT, KCP_FRAME_DEFAULT_LIMIT + 1 }, { KCP_FRAME_DEFAULT_LIMIT, G_MAXUINT32 },
  };
  g_autofree guint8 *more = g_malloc0 (2 * BUFFER);

  for (guint i = 0; i < G_N_ELEMENTS (rows) * 2; i++)
    {
      g_auto (Side) side = SIDE (rows[i / 2].limit, NULL);

      /* Alone, or behind a good frame that is still given. */
      if (i % 2)
        append_frame (side.stream, KCP_FRAME_PING, 0, 0);
      append_frame (side.stream, KCP_FRAME_LOG, 0, 0);
      kcp_put_u32 (side.stream->data + side.stream->len - KCP_FRAME_HEADER_SIZE, rows[i / 2].length);

      feed_all (&side, 0, side.stream->len - 1);
      kcp_frame_reader_feed (side.reader, side.stream->data + side.stream->len - 1, 1);
      for (guint again = 0; again < 3; again++)
        {
          g_autoptr (GError) error = NULL;

          g_assert_cmpint (take_all (&side, &error), ==, KCP_TAKE_ERROR);
          g_assert_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL);
          g_assert_nonnull (strstr (error->message, "the limit is"));
          g_assert_cmpuint (side.frames->len, ==, i % 2);
          g_assert_cmpuint (kcp_frame_reader_feed (side.reader, more, 2 * BUFFER), ==,
                            again == 0 ? BUFFER - KCP_FRAME_HEADER_SIZE : 0);
        }
    }
}

/* What was too long is not any more once the limit is raised: how a link goes on after HELLO. */
static void
test_set_limit (void)
{
  g_auto (Side) side = SIDE (KCP_FRAME_HELLO_LIMIT, NULL);

  append_frame (side.stream, KCP_FRAME_HELLO, 0, KCP_FRAME_HELLO_LIMIT);
  feed_all (&side, 0, side.stream->len);
  append_frame (side.stream, KCP_FRAME_CALL, 0, KCP_FRAME_HELLO_LIMIT + 1);
  kcp_frame_reader_feed (side.reader, side.stream->data + side.taken, 16);
  g_assert_cmpint (take_all (&side, NULL), ==, KCP_TAKE_ERROR);

  kcp_frame_reader_set_limit (side.reader, KCP_FRAME_HELLO_LIMIT + 1);
  feed_all (&side, side.taken + 16, side.stream->len - side.taken - 16);
  assert_done (&side);
}

/* The end may come anywhere; only between frames is nothing missing. */
static void
test_end (void)
{
  const gsize ends[] = { 0, 1, 15, 16, 17, 50, 115, 116, 117, 131, 132, 133, 70000, 100131 };

  for (guint i = 0; i < G_N_ELEMENTS (ends) * 2; i++)
    {
      g_auto (Side) side = SIDE (KCP_FRAME_DEFAULT_LIMIT, NULL);
      gsize end = ends[i / 2];
      KcpFill fill;
      int pair[2];

      append_frame (side.stream, KCP_FRAME_CALL, 20, 100);
      append_frame (side.stream, KCP_FRAME_CALL, 20, 100000);
      make_pair (pair);
      g_assert_cmpuint (send_some (pair[0], side.stream->data, end), ==, end);

      /* A peer that leaves what we sent unread makes it a reset; what it sent comes all the same. */
      if (i % 2)
        g_assert_cmpuint (send_some (pair[1], side.stream->data, 10), ==, 10);
      close (pair[0]);

      while ((fill = kcp_frame_reader_fill (side.reader, pair[1], NULL)) == KCP_FILL_DATA)
        g_assert_cmpint (take_all (&side, NULL), ==, KCP_TAKE_MORE);
      g_assert_cmpint (fill, ==, KCP_FILL_EOF);
      g_assert_cmpint (kcp_frame_reader_fill (side.reader, pair[1], NULL), ==, KCP_FILL_EOF);
      g_assert_cmpuint (side.frames->len, ==, end >= 116);
      g_assert_cmpint (kcp_frame_reader_is_empty (side.reader), ==, end == 0 || end == 116);
      close (pair[1]);
    }
}

static guint
count_descriptors (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint count = 0;

  while (dir && g_dir_read_name (dir))
    count++;
  return count;
}

static void
send_descriptors (int           fd,
                  const guint8 *data,
                  gsize         length,
                  guint         count)
{
  _Alignas (struct cmsghdr) char control[CMSG_SPACE (sizeof (int) * 200)] = { 0 };
  struct iovec vector = { (gpointer) data, length };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
                            .msg_controllen = CMSG_SPACE (sizeof (int) * count) };
  struct cmsghdr *c = CMSG_FIRSTHDR (&message);

  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN (sizeof (int) * count);
  for (guint i = 0; i < count; i++)
    memcpy (CMSG_DATA (c) + i * sizeof (int), &fd, sizeof fd);
  g_assert_cmpint (sendmsg (fd, &message, MSG_NOSIGNAL), ==, length);
}

/* Descriptors are closed and refused: those there is room for and those there is not, in the middle
 * of a large frame, and where this process may open none, so that only the kernel's mark tells. */
static void
test_descriptors (void)
{
  const guint counts[] = { 1, 2, 15, 16, 17, 18, 100, 200 };
  guint before = count_descriptors ();
  struct rlimit limit;

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  for (guint i = 0; i < G_N_ELEMENTS (counts) * 3; i++)
    {
      g_auto (Side) side = SIDE (KCP_FRAME_DEFAULT_LIMIT, NULL);
      const struct rlimit none = { i % 3 == 2 ? 0 : limit.rlim_cur, limit.rlim_max };
      g_autoptr (GError) error = NULL;
      gsize start = i % 3 == 1 ? 80000 : 0;
      int pair[2];

      append_frame (side.stream, KCP_FRAME_ITEM, 0, 100000);
      make_pair (pair);
      feed_all (&side, 0, start);
      send_descriptors (pair[0], side.stream->data + start, 1000, counts[i / 3]);
      g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &none));
      g_assert_cmpint (kcp_frame_reader_fill (side.reader, pair[1], &error), ==, KCP_FILL_ERROR);
      g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL);
      g_assert_nonnull (strstr (error->message, "descriptors"));
      close (pair[0]);
      close (pair[1]);
      g_assert_cmpuint (count_descriptors (), ==, before);

      g_clear_error (&error);
      g_assert_cmpint (kcp_frame_reader_fill (side.reader, -1, &error), ==, KCP_FILL_ERROR);
      g_assert_error (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
    }
}

/* Noise behind good frames: the good ones come out first. */
static void
test_noise (void)
{
  guint refused = 0;

  for (guint round = 0; round < 2000; round++)
    {
      g_auto (Side) side = SIDE (1000, NULL);
      KcpTake take = KCP_TAKE_MORE;
      gsize good;

      for (guint i = 0; i < round % 4; i++)
        append_frame (side.stream, 1 + i, 0, (guint) g_test_rand_int_range (0, 1001));
      good = side.stream->len;
      g_byte_array_set_size (side.stream, side.stream->len + 3000);
      for (gsize i = good; i < side.stream->len; i++)
        side.stream->data[i] = (guint8) (g_test_rand_bit () ? 0 : g_test_rand_int_range (0, 256));

      for (gsize i = 0; i < side.stream->len && take == KCP_TAKE_MORE; i++)
        {
          kcp_frame_reader_feed (side.reader, side.stream->data + i, 1);
          take = take_all (&side, NULL);
          g_assert_true (take == KCP_TAKE_MORE || i + 1 >= good + KCP_FRAME_HEADER_SIZE);
        }
      g_assert_cmpuint (side.frames->len, >=, round % 4);
      refused += take == KCP_TAKE_ERROR;
    }

  g_assert_cmpuint (refused, >, 1500);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/frame-reader/byte-by-byte", test_byte_by_byte);
  g_test_add_func ("/frame-reader/random-splits", test_random_splits);
  g_test_add_func ("/frame-reader/many-at-once", test_many_at_once);
  g_test_add_data_func ("/frame-reader/boundary/whole", GSIZE_TO_POINTER (G_MAXSIZE), test_boundary);
  g_test_add_data_func ("/frame-reader/boundary/4099", GSIZE_TO_POINTER (4099), test_boundary);
  g_test_add_data_func ("/frame-reader/boundary/65535", GSIZE_TO_POINTER (65535), test_boundary);
  g_test_add_data_func ("/frame-reader/large/1-MiB", GUINT_TO_POINTER (1u << 20), test_large);
  g_test_add_data_func ("/frame-reader/large/16-MiB", GUINT_TO_POINTER (KCP_FRAME_DEFAULT_LIMIT), test_large);
  g_test_add_func ("/frame-reader/limit", test_limit);
  g_test_add_func ("/frame-reader/set-limit", test_set_limit);
  g_test_add_func ("/frame-reader/end", test_end);
  g_test_add_func ("/frame-reader/descriptors", test_descriptors);
  g_test_add_func ("/frame-reader/noise", test_noise);

  return g_test_run ();
}
