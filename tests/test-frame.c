/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error.h"
#include "kcp-frame-private.h"

#include <string.h>

/* ---- numbers: a peer of another build has them too, so they are written out once more ---- */

typedef struct
{
  const char *name;
  int kind;
  int number;
  gboolean link;
  guint8 flags;
} KindRow;

static const KindRow kind_rows[] = {
  { "HELLO", KCP_FRAME_HELLO, 1, TRUE, 0 },
  { "OPEN", KCP_FRAME_OPEN, 2, TRUE, 0 },
  { "CALL", KCP_FRAME_CALL, 3, FALSE, 0x01 },
  { "ITEM", KCP_FRAME_ITEM, 4, FALSE, 0 },
  { "END", KCP_FRAME_END, 5, FALSE, 0 },
  { "ERROR", KCP_FRAME_ERROR, 6, FALSE, 0 },
  { "CANCEL", KCP_FRAME_CANCEL, 7, FALSE, 0 },
  { "CREDIT", KCP_FRAME_CREDIT, 8, FALSE, 0 },
  { "STATUS", KCP_FRAME_STATUS, 9, TRUE, 0 },
  { "LOG", KCP_FRAME_LOG, 10, TRUE, 0 },
  { "SPAN", KCP_FRAME_SPAN, 11, TRUE, 0 },
  { "SET", KCP_FRAME_SET, 12, TRUE, 0 },
  { "PING", KCP_FRAME_PING, 13, TRUE, 0 },
  { "PONG", KCP_FRAME_PONG, 14, TRUE, 0 },
  { "GOODBYE", KCP_FRAME_GOODBYE, 15, TRUE, 0 },
};

#define LIMIT 100000u

static void
test_numbers (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kind_rows); i++)
    {
      const KindRow *row = &kind_rows[i];

      g_assert_cmpint (row->kind, ==, row->number);
      g_assert_cmpint (row->number, ==, i + 1);
      g_assert_cmpstr (kcp_frame_kind_to_string ((guint8) row->number), ==, row->name);
      g_assert_cmpint (kcp_frame_kind_is_link ((guint8) row->number), ==, row->link);
    }

  for (guint kind = 0; kind < 256; kind = kind == 0 ? 16 : kind + 1)
    {
      g_assert_cmpstr (kcp_frame_kind_to_string ((guint8) kind), ==, "?");
      g_assert_false (kcp_frame_kind_is_link ((guint8) kind));
    }

  /* The numbers of the tags are in the bytes of tag_rows. */
  g_assert_cmpint (KCP_FIELD_MUST_UNDERSTAND, ==, 0x80);
  g_assert_cmpint (KCP_FRAME_FLAG_NO_REPLY, ==, 0x01);
  g_assert_cmpint (KCP_FRAME_HEADER_SIZE, ==, 16);
  g_assert_cmpint (KCP_FRAME_DEFAULT_LIMIT, ==, 16777216);
  g_assert_cmpint (KCP_FRAME_HELLO_LIMIT, ==, 65536);
}

/* ---- headers ---- */

/* What PROTOCOL.md says a good header is, in other words than the code has it. */
static gboolean
header_is_good (const KcpFrameHeader *header)
{
  return header->kind >= 1 && header->kind <= 15 &&
         (header->flags & ~kind_rows[header->kind - 1].flags) == 0 &&
         (header->id == 0) == kind_rows[header->kind - 1].link &&
         header->length <= LIMIT && header->fields_length <= header->length;
}

static void
assert_headers_equal (const KcpFrameHeader *a,
                      const KcpFrameHeader *b)
{
  g_assert_cmpmem (a, sizeof *a, b, sizeof *b); /* no padding in it */
}

/* Exactly as many bytes as there are, from the heap, so that a read too far is seen by ASan. */
static gboolean
read_header (const KcpFrameHeader *header,
             KcpFrameHeader       *result,
             GError              **error)
{
  g_autofree guint8 *bytes = g_malloc (KCP_FRAME_HEADER_SIZE);

  kcp_frame_header_write (header, bytes);
  return kcp_frame_header_read (bytes, LIMIT, result, error);
}

static void
test_header_bytes (void)
{
  const guint8 expected[KCP_FRAME_HEADER_SIZE] = { 0x04, 0x03, 0x02, 0x01, 3, 1, 0xcd, 0xab,
                                                   0xf8, 0xf7, 0xf6, 0xf5, 0xf4, 0xf3, 0xf2, 0xf1 };
  const KcpFrameHeader header = { .length = 0x01020304, .kind = KCP_FRAME_CALL, .flags = 1,
                                  .fields_length = 0xabcd, .id = G_GUINT64_CONSTANT (0xf1f2f3f4f5f6f7f8) };
  guint8 bytes[KCP_FRAME_HEADER_SIZE];
  KcpFrameHeader result;

  kcp_frame_header_write (&header, bytes);
  g_assert_cmpmem (bytes, sizeof bytes, expected, sizeof expected);

  g_assert_true (kcp_frame_header_read (expected, G_MAXUINT32, &result, NULL));
  assert_headers_equal (&result, &header);
}

/* Every kind with every flag, with and without an id; then once more with lengths of any size. */
static void
test_header_kinds (void)
{
  guint accepted = 0;

  for (guint n = 0; n < 256 * 256 * 4; n++)
    {
      gboolean any = n >= 256 * 256 * 2;
      const KcpFrameHeader header = {
        .kind = (guint8) (n >> 9),
        .flags = (guint8) (n >> 1),
        .id = n & 1 ? (guint64) 1 << g_test_rand_int_range (0, 64) : 0,
        .length = any ? (guint32) g_test_rand_int () >> g_test_rand_int_range (0, 32) : 7,
        .fields_length = any ? (guint16) g_test_rand_int () >> g_test_rand_int_range (0, 16) : 5,
      };
      g_autoptr (GError) error = NULL;
      KcpFrameHeader result;
      gboolean good = read_header (&header, &result, &error);

      g_assert_cmpint (good, ==, header_is_good (&header));
      assert_headers_equal (&result, &header);
      accepted += good && !any;
      if (good)
        {
          g_assert_no_error (error);
          continue;
        }

      g_assert_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL);
      if (header.kind >= 1 && header.kind <= 15)
        g_assert_true (g_str_has_prefix (error->message, kind_rows[header.kind - 1].name));
    }

  g_assert_cmpuint (accepted, ==, 16); /* one each, and the CALL without a reply */
}

typedef struct
{
  const char *name;
  KcpFrameHeader header;
  const char *message;   /* part of the error's; NULL: accepted */
} HeaderRow;

static const HeaderRow header_rows[] = {
  { "empty-call", { .kind = KCP_FRAME_CALL, .id = 1 }, NULL },
  { "highest-id", { .kind = KCP_FRAME_END, .id = G_MAXUINT64 }, NULL },
  { "at-limit", { .kind = KCP_FRAME_ITEM, .id = 1, .length = LIMIT }, NULL },
  { "only-fields", { .kind = KCP_FRAME_ITEM, .id = 1, .length = 65535, .fields_length = 65535 }, NULL },
  { "one-byte-body", { .kind = KCP_FRAME_ITEM, .id = 1, .length = 65536, .fields_length = 65535 }, NULL },
  { "no-reply", { .kind = KCP_FRAME_CALL, .id = 1, .flags = 1 }, NULL },
  { "kind-0", { .kind = 0 }, "unknown kind 0" },
  { "kind-16", { .kind = 16 }, "unknown kind 16" },
  { "kind-255", { .kind = 255, .id = 1 }, "unknown kind 255" },
  { "kind-before-length", { .kind = 16, .length = G_MAXUINT32 }, "unknown kind 16" },
  { "flag-02", { .kind = KCP_FRAME_CALL, .id = 1, .flags = 0x02 }, "CALL frame with unknown flags 0x02" },
  { "no-reply-end", { .kind = KCP_FRAME_END, .id = 1, .flags = 1 }, "END frame with unknown flags 0x01" },
  { "limit+1", { .kind = KCP_FRAME_ITEM, .id = 1, .length = LIMIT + 1 },
    "ITEM frame of 100001 bytes, the limit is 100000" },
  { "longest", { .kind = KCP_FRAME_LOG, .length = G_MAXUINT32 }, "LOG frame of 4294967295 bytes, the" },
  { "fields-longer", { .kind = KCP_FRAME_SET, .length = 5, .fields_length = 6 },
    "SET frame whose fields (6 bytes) are longer than the frame (5 bytes)" },
  { "hello-id", { .kind = KCP_FRAME_HELLO, .id = 1 }, "HELLO frame with a call id (1)" },
  { "call-no-id", { .kind = KCP_FRAME_CALL }, "CALL frame without a call id" },
};

static void
test_header_row (gconstpointer data)
{
  const HeaderRow *row = data;
  g_autoptr (GError) error = NULL;
  KcpFrameHeader result;

  if (row->message == NULL)
    {
      g_assert_true (read_header (&row->header, &result, &error));
      g_assert_no_error (error);
      assert_headers_equal (&result, &row->header);
      return;
    }

  g_assert_false (read_header (&row->header, &result, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, row->message));
}

/* ---- fields ---- */

#define ASSERT_TEXTS_EQUAL(member)                                                                     \
  g_assert_cmpmem (a->member, a->member##_length, b->member, b->member##_length)

static void
assert_fields_equal (const KcpFields *a,
                     const KcpFields *b)
{
  g_assert_cmphex (a->present, ==, b->present);
  g_assert_cmpuint (a->deadline_ms, ==, b->deadline_ms);
  g_assert_cmpuint (a->credit_items, ==, b->credit_items);
  g_assert_cmpuint (a->credit_bytes, ==, b->credit_bytes);
  g_assert_cmpuint (a->parent, ==, b->parent);
  g_assert_cmpuint (a->callbacks_sent, ==, b->callbacks_sent);
  g_assert_cmpuint (a->fd_count, ==, b->fd_count);
  g_assert_cmpuint (a->body_fd_size, ==, b->body_fd_size);
  ASSERT_TEXTS_EQUAL (path);
  ASSERT_TEXTS_EQUAL (traceparent);
  ASSERT_TEXTS_EQUAL (tracestate);
  ASSERT_TEXTS_EQUAL (baggage);
  ASSERT_TEXTS_EQUAL (content_type);
}

/* Writes @fields into exactly the bytes they say they need. */
static guint8 *
write_fields (const KcpFields *fields,
              gsize           *size)
{
  guint8 *bytes, *deadline = (guint8 *) "unset";

  *size = kcp_fields_size (fields);
  bytes = g_malloc (*size + 1);
  bytes[*size] = 0xa5;
  kcp_fields_write (fields, bytes, &deadline);
  g_assert_cmphex (bytes[*size], ==, 0xa5);

  if (KCP_FIELDS_HAS (fields, KCP_FIELD_DEADLINE))
    g_assert_cmpuint (kcp_get_u32 (deadline), ==, fields->deadline_ms);
  else
    g_assert_null (deadline);
  return bytes;
}

#define TEXT(member, text) .member = text, .member##_length = sizeof text - 1
#define ALL_FIELDS                                                                                     \
  TEXT (path, "a/b"), TEXT (traceparent, "00-tp"), TEXT (tracestate, "k=v"), TEXT (baggage, "b=1;p"),  \
  TEXT (content_type, "text/plain"), .deadline_ms = 0x01020304, .credit_items = 0x11121314,            \
  .credit_bytes = 0x21222324, .parent = G_GUINT64_CONSTANT (0x3132333435363738),                       \
  .callbacks_sent = G_GUINT64_CONSTANT (0x4142434445464748), .fd_count = 0x5152,      \
  .body_fd_size = G_GUINT64_CONSTANT (0x6162636465666768)

static const struct
{
  int tag;
  gsize size;
  const char *bytes;
} tag_rows[] = {
  { KCP_FIELD_PATH, 7, "\x01\0\x03\0a/b" },
  { KCP_FIELD_TRACEPARENT, 9, "\x02\0\x05\0" "00-tp" },
  { KCP_FIELD_TRACESTATE, 7, "\x03\0\x03\0k=v" },
  { KCP_FIELD_BAGGAGE, 9, "\x04\0\x05\0b=1;p" },
  { KCP_FIELD_DEADLINE, 8, "\x05\0\x04\0\x04\x03\x02\x01" },
  { KCP_FIELD_PARENT, 12, "\x06\0\x08\0\x38\x37\x36\x35\x34\x33\x32\x31" },
  { KCP_FIELD_CREDIT, 12, "\x07\0\x08\0\x14\x13\x12\x11\x24\x23\x22\x21" },
  { KCP_FIELD_CALLBACKS_SENT, 12, "\x08\0\x08\0\x48\x47\x46\x45\x44\x43\x42\x41" },
  { KCP_FIELD_FD_COUNT, 6, "\x81\0\x02\0\x52\x51" },
  { KCP_FIELD_BODY_FD, 12, "\x83\0\x08\0\x68\x67\x66\x65\x64\x63\x62\x61" },
  { KCP_FIELD_CONTENT_TYPE, 14, "\x82\0\x0a\0text/plain" },
};

static void
test_fields_round_trip (void)
{
  const KcpFields all = { ALL_FIELDS };

  /* Every set of tags there is: what is not present is neither written nor read. */
  for (guint set = 0; set < 1u << G_N_ELEMENTS (tag_rows); set++)
    {
      KcpFields fields = all, result, again;
      g_autofree guint8 *bytes = NULL, *copy = NULL, *second = NULL;
      gsize size, second_size, offset = 0;

      for (gsize i = 0; i < G_N_ELEMENTS (tag_rows); i++)
        if (set & 1u << i)
          fields.present |= KCP_FIELD_BIT (tag_rows[i].tag);

      bytes = write_fields (&fields, &size);
      for (gsize i = 0; i < G_N_ELEMENTS (tag_rows); i++)
        if (set & 1u << i)
          {
            g_assert_cmpmem (bytes + offset, tag_rows[i].size, tag_rows[i].bytes, tag_rows[i].size);
            offset += tag_rows[i].size;
          }
      g_assert_cmpuint (offset, ==, size);

      copy = g_memdup2 (bytes, size);
      g_assert_true (kcp_fields_read (copy, size, &result, NULL));
      g_assert_cmphex (result.present, ==, fields.present);

      second = write_fields (&result, &second_size);
      g_assert_cmpmem (bytes, size, second, second_size);
      g_assert_true (kcp_fields_read (second, second_size, &again, NULL));
      assert_fields_equal (&result, &again);
      if (set + 1 == 1u << G_N_ELEMENTS (tag_rows))
        assert_fields_equal (&result, &fields);
    }
}

/* The longest text a length can say. */
static void
test_fields_longest (void)
{
  g_autofree char *text = g_strnfill (65531, 'x');
  const KcpFields fields = { .present = KCP_FIELD_BIT (KCP_FIELD_BAGGAGE), .baggage = text,
                             .baggage_length = 65531 };
  g_autofree guint8 *bytes = NULL;
  KcpFields result;
  gsize size;

  bytes = write_fields (&fields, &size);
  g_assert_cmpuint (size, ==, G_MAXUINT16);
  g_assert_true (kcp_fields_read (bytes, size, &result, NULL));
  assert_fields_equal (&result, &fields);
}

typedef struct
{
  const char *name;
  gsize size;
  const char *bytes;
  guint32 present;
  const char *message;   /* part of the error's; NULL: accepted */
} FieldRow;

#define BYTES(text) sizeof text - 1, text
#define BIT(name) KCP_FIELD_BIT (KCP_FIELD_##name)

static const FieldRow field_rows[] = {
  { "none", BYTES (""), 0, NULL },
  { "empty-text", BYTES ("\x04\0\0\0"), BIT (BAGGAGE), NULL },
  { "any-order", BYTES ("\x82\0\x01\0x\x01\0\x01\0p"), BIT (PATH) | BIT (CONTENT_TYPE), NULL },
  { "unknown-skipped", BYTES ("\x09\0\x02\0zz\x01\0\x01\0p\x7f\0\0\0"), BIT (PATH), NULL },
  { "unknown-twice", BYTES ("\x30\0\0\0\x30\0\x01\0x"), 0, NULL },
  { "unknown-zero-tag", BYTES ("\0\0\x01\0x"), 0, NULL },
  { "low-nibble-of-path", BYTES ("\x11\0\x01\0x\x01\0\x01\0p"), BIT (PATH), NULL },
  { "header-1", BYTES ("\x01"), 0, "middle of a field's header" },
  { "header-2", BYTES ("\x01\0"), 0, "middle of a field's header" },
  { "header-3", BYTES ("\x01\0\x01"), 0, "middle of a field's header" },
  { "second-header", BYTES ("\x01\0\x01\0p\x02\0\0"), 0, "middle of a field's header" },
  { "one-beyond", BYTES ("\x01\0\x02\0p"), 0, "field 0x01 of 2 bytes reaches beyond" },
  { "far-beyond", BYTES ("\x09\0\xff\xff"), 0, "field 0x09 of 65535 bytes reaches beyond" },
  { "number-beyond", BYTES ("\x05\0\x04\0\x01\x02\x03"), 0, "field 0x05 of 4 bytes reaches beyond" },
  { "reserved", BYTES ("\x01\x01\x01\0p"), 0, "field 0x01 has 0x01 where zero is reserved" },
  { "reserved-unknown", BYTES ("\x09\x80\0\0"), 0, "field 0x09 has 0x80 where zero is reserved" },
  { "must-understand", BYTES ("\x84\0\0\0"), 0, "unknown field 0x84 that must be understood" },
  { "must-understand-80", BYTES ("\x80\0\0\0"), 0, "unknown field 0x80 that" },
  { "must-understand-91", BYTES ("\x91\0\x02\0\0\0"), 0, "unknown field 0x91 that" },
  { "must-understand-last", BYTES ("\x01\0\x01\0p\xff\0\x01\0x"), 0, "unknown field 0xff that" },
  { "deadline-0", BYTES ("\x05\0\0\0"), 0, "field 0x05 of 0 bytes, expected 4" },
  { "deadline-3", BYTES ("\x05\0\x03\0abc"), 0, "field 0x05 of 3 bytes, expected 4" },
  { "deadline-8", BYTES ("\x05\0\x08\0abcdefgh"), 0, "field 0x05 of 8 bytes, expected 4" },
  { "parent-4", BYTES ("\x06\0\x04\0abcd"), 0, "field 0x06 of 4 bytes, expected 8" },
  { "parent-9", BYTES ("\x06\0\x09\0abcdefghi"), 0, "field 0x06 of 9 bytes, expected 8" },
  { "credit-4", BYTES ("\x07\0\x04\0abcd"), 0, "field 0x07 of 4 bytes, expected 8" },
  { "sent-7", BYTES ("\x08\0\x07\0abcdefg"), 0, "field 0x08 of 7 bytes, expected 8" },
  { "fd-count-1", BYTES ("\x81\0\x01\0a"), 0, "field 0x81 of 1 bytes, expected 2" },
  { "body-fd-4", BYTES ("\x83\0\x04\0abcd"), 0, "field 0x83 of 4 bytes, expected 8" },
  { "fd-count-4", BYTES ("\x81\0\x04\0abcd"), 0, "field 0x81 of 4 bytes, expected 2" },
};

static void
test_field_row (gconstpointer data)
{
  const FieldRow *row = data;
  g_autofree guint8 *bytes = g_memdup2 (row->bytes, row->size);
  g_autoptr (GError) error = NULL;
  KcpFields fields;

  g_assert_cmpint (kcp_fields_read (bytes, row->size, &fields, &error), ==, row->message == NULL);
  if (row->message == NULL)
    {
      g_assert_no_error (error);
      g_assert_cmphex (fields.present, ==, row->present);
      return;
    }

  g_assert_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, row->message));
}

/* Each known tag a second time, right behind the first and behind all others. */
static void
test_fields_twice (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (tag_rows) * 2; i++)
    {
      gsize at = i / 2;
      g_autofree char *message = g_strdup_printf ("field 0x%02x is there twice", tag_rows[at].tag);
      g_autoptr (GByteArray) bytes = g_byte_array_new ();
      g_autoptr (GError) error = NULL;
      KcpFields fields;

      for (gsize k = 0; k < G_N_ELEMENTS (tag_rows); k++)
        if (k == at || i % 2)
          g_byte_array_append (bytes, (const guint8 *) tag_rows[k].bytes, (guint) tag_rows[k].size);
      g_assert_true (kcp_fields_read (bytes->data, bytes->len, &fields, NULL));

      g_byte_array_append (bytes, (const guint8 *) tag_rows[at].bytes, (guint) tag_rows[at].size);
      g_assert_false (kcp_fields_read (bytes->data, bytes->len, &fields, &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL);
      g_assert_nonnull (strstr (error->message, message));
    }
}

/* Fields mostly well made, sometimes with a byte changed or the end cut off, sometimes noise. */
static guint8 *
random_fields (gsize *size)
{
  guint8 *bytes = g_malloc (512);
  gsize n = 0;

  for (int left = g_test_rand_int_range (0, 7); left > 0; left--)
    {
      static const guint8 sizes[16] = { [5] = 4, [6] = 8, [7] = 8, [8] = 8 };
      gboolean high = g_test_rand_int_range (0, 4) == 0;
      guint8 tag = (guint8) (high ? g_test_rand_int_range (0x81, 0x84) : g_test_rand_int_range (0, 16));
      guint8 length = tag == KCP_FIELD_FD_COUNT ? 2 : tag == KCP_FIELD_BODY_FD ? 8 : sizes[tag & 0x0f];

      if (length == 0)
        length = (guint8) g_test_rand_int_range (0, 20);
      bytes[n++] = tag;
      bytes[n++] = 0;
      bytes[n++] = length;
      bytes[n++] = 0;
      for (guint i = 0; i < length; i++)
        bytes[n++] = (guint8) g_test_rand_int_range (0, 256);
    }

  if (n > 0 && g_test_rand_int_range (0, 3) == 0)
    bytes[g_test_rand_int_range (0, (int) n)] = (guint8) g_test_rand_int_range (0, 256);
  if (n > 0 && g_test_rand_int_range (0, 3) == 0)
    n = (gsize) g_test_rand_int_range (0, (int) n);
  *size = n;
  return g_realloc (bytes, MAX (n, 1));
}

static void
test_fields_random (void)
{
  guint accepted = 0, refused = 0;

  for (guint n = 0; n < 50000; n++)
    {
      g_autoptr (GError) error = NULL;
      gsize size, second_size;
      g_autofree guint8 *bytes = random_fields (&size);
      g_autofree guint8 *second = NULL;
      KcpFields fields, again;

      if (!kcp_fields_read (bytes, size, &fields, &error))
        {
          g_assert_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL);
          refused++;
          continue;
        }

      /* Skipped fields are lost, all others come back. */
      g_assert_no_error (error);
      second = write_fields (&fields, &second_size);
      g_assert_cmpuint (second_size, <=, size);
      g_assert_true (kcp_fields_read (second, second_size, &again, NULL));
      assert_fields_equal (&fields, &again);
      accepted++;
    }

  g_assert_cmpuint (accepted, >, 1000);
  g_assert_cmpuint (refused, >, 1000);
}

#define ADD_ROWS(where, rows, func)                                                                    \
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)                                                      \
    {                                                                                                  \
      g_autofree char *path = g_strconcat (where, rows[i].name, NULL);                                 \
      g_test_add_data_func (path, &rows[i], func);                                                     \
    }

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/frame/numbers", test_numbers);
  g_test_add_func ("/frame/header/bytes", test_header_bytes);
  g_test_add_func ("/frame/header/kinds", test_header_kinds);
  ADD_ROWS ("/frame/header/", header_rows, test_header_row);
  g_test_add_func ("/frame/fields/round-trip", test_fields_round_trip);
  g_test_add_func ("/frame/fields/longest", test_fields_longest);
  ADD_ROWS ("/frame/fields/", field_rows, test_field_row);
  g_test_add_func ("/frame/fields/twice", test_fields_twice);
  g_test_add_func ("/frame/fields/random", test_fields_random);

  return g_test_run ();
}
