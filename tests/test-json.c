/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error.h"
#include "kcp-json-private.h"

#include "corpus/json/rfc8259-cases.h"

#include <math.h>

static const char sample[] =
  "{\"name\":\"thumb\\u006eail \\ud83d\\ude00 \u20ac\",\"size\":[640,-480,1.5e3],\"ok\":true,\"bad\":false,"
  "\"none\":null,\"deep\":{\"a\":[[],{}],\"\\\"\\\\\":0.25}}";

static JsonNode *
parse (const char *text)
{
  g_autoptr(GError) error = NULL;
  JsonNode *node = kcp_json_parse (text, -1, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);

  return node;
}

static char *
write_text (JsonNode *node)
{
  g_autoptr(GError) error = NULL;
  char *text = kcp_json_to_string (node, &error);

  g_assert_no_error (error);
  g_assert_nonnull (text);

  return text;
}

static void
assert_refused (const char *text,
                gssize      length,
                const char *reason)
{
  g_autoptr(GError) error = NULL;
  JsonNode *node = kcp_json_parse (text, length, &error);

  g_assert_null (node);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_true (g_str_has_prefix (error->message, "invalid JSON at "));
  g_assert_cmpuint (strlen (error->message), <, 400);
  if (strstr (error->message, reason) == NULL)
    g_error ("“%s” is not in “%s”", reason, error->message);
}

static void
assert_not_written (JsonNode   *node,
                    const char *reason)
{
  g_autoptr(GString) out = g_string_new ("before");
  g_autoptr(GError) error = NULL;

  g_assert_false (kcp_json_append (out, node, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_cmpstr (out->str, ==, "before");
  g_assert_cmpuint (out->len, ==, 6);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  if (strstr (error->message, reason) == NULL)
    g_error ("“%s” is not in “%s”", reason, error->message);
}

/* The text is in a block of exactly its size, so that a sanitizer sees a read beyond it. */
static void
test_case (gconstpointer data)
{
  const JsonCase *row = data;
  g_autofree char *text = row->length > 0 ? g_memdup2 (row->text, row->length) : NULL;
  g_autoptr(JsonNode) node = NULL;
  g_autoptr(JsonNode) again = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree char *written = NULL;

  if (row->reason != NULL)
    {
      assert_refused (text, row->length, row->reason);
      return;
    }

  node = kcp_json_parse (text, row->length, &error);
  g_assert_no_error (error);
  g_assert_nonnull (node);

  written = write_text (node);
  g_assert_cmpstr (written, ==, row->written);

  again = parse (written);
  g_assert_true (json_node_equal (node, again));
}

static void
test_types (void)
{
  g_autoptr(JsonNode) node = parse ("[null,1,1.0,true,\"a\",[],{},-0,-0.0]");
  JsonArray *array = json_node_get_array (node);
  static const GType types[] = { G_TYPE_INT64, G_TYPE_DOUBLE, G_TYPE_BOOLEAN, G_TYPE_STRING };

  g_assert_true (JSON_NODE_HOLDS_NULL (json_array_get_element (array, 0)));
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    {
      JsonNode *element = json_array_get_element (array, i + 1);

      g_assert_true (JSON_NODE_HOLDS_VALUE (element));
      g_assert_cmpuint (json_node_get_value_type (element), ==, types[i]);
    }
  g_assert_true (JSON_NODE_HOLDS_ARRAY (json_array_get_element (array, 5)));
  g_assert_true (JSON_NODE_HOLDS_OBJECT (json_array_get_element (array, 6)));
  g_assert_cmpuint (json_node_get_value_type (json_array_get_element (array, 7)), ==, G_TYPE_INT64);
  g_assert_true (signbit (json_array_get_double_element (array, 8)));
}

/* JsonReader goes up again by the nodes' parents. */
static void
test_parents (void)
{
  g_autoptr(JsonNode) node = parse ("{\"a\":[{\"b\":1}],\"c\":2}");
  g_autoptr(JsonReader) reader = json_reader_new (node);

  g_assert_true (json_reader_read_member (reader, "a"));
  g_assert_true (json_reader_read_element (reader, 0));
  g_assert_true (json_reader_read_member (reader, "b"));
  g_assert_cmpint (json_reader_get_int_value (reader), ==, 1);
  json_reader_end_member (reader);
  json_reader_end_element (reader);
  json_reader_end_member (reader);
  g_assert_true (json_reader_read_member (reader, "c"));
  g_assert_cmpint (json_reader_get_int_value (reader), ==, 2);
}

static void
test_length (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) node = kcp_json_parse ("12345", 2, &error);

  g_assert_no_error (error);
  g_assert_cmpint (json_node_get_int (node), ==, 12);
  assert_refused (NULL, 0, "found the end of the text");
  assert_refused ("", -1, "found the end of the text");
  assert_refused ("[1]", 2, "found the end of the text");
}

static void
test_position (void)
{
  assert_refused ("{\n  \"a\": 1,\n  \"€\": tru\n}", -1,
                  "invalid JSON at 3:8 (byte 21): expected a value, found “tru”");
  assert_refused ("{\"size\":1,\r\n   \"size\":2}", -1,
                  "invalid JSON at 2:4 (byte 15): duplicate key “size”");
  assert_refused ("\n\n", -1, "invalid JSON at 3:1 (byte 2): ");
}

/* An excerpt is cut, but not in the middle of a character, and nothing in it drives a terminal. */
static void
test_excerpt (void)
{
  g_autofree char *cut = kcp_json_excerpt ("123456789012345678901234567890123456789€rest", 46);
  g_autofree char *bad = kcp_json_excerpt ("\xff\x1b\u202e\0z", 7);

  g_assert_cmpstr (cut, ==, "123456789012345678901234567890123456789€…");
  g_assert_cmpstr (bad, ==, "\\xff\\u001b\\u202e\\x00z");
}

/* Text of @depth containers, objects and arrays in turn. */
static char *
nested_text (guint depth)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < depth; i++)
    g_string_append (text, i % 2 == 0 ? "[" : "{\"a\":");
  g_string_append (text, "1");
  for (guint i = depth; i > 0; i--)
    g_string_append_c (text, i % 2 == 1 ? ']' : '}');

  return g_string_free (text, FALSE);
}

static JsonNode *
nested_node (guint depth)
{
  JsonNode *node = json_node_init_int (json_node_alloc (), 1);

  for (guint i = depth; i > 0; i--)
    {
      JsonNode *outer = json_node_alloc ();

      if (i % 2 == 1)
        {
          json_node_take_array (json_node_init (outer, JSON_NODE_ARRAY), json_array_new ());
          json_array_add_element (json_node_get_array (outer), node);
        }
      else
        {
          json_node_take_object (json_node_init (outer, JSON_NODE_OBJECT), json_object_new ());
          json_object_set_member (json_node_get_object (outer), "a", node);
        }
      node = outer;
    }

  return node;
}

static void
test_depth (void)
{
  g_autofree char *fits = nested_text (KCP_JSON_MAX_DEPTH);
  g_autofree char *too_deep = nested_text (KCP_JSON_MAX_DEPTH + 1);
  g_autofree char *far_too_deep = g_strnfill (100000, '[');
  g_autoptr(JsonNode) parsed = parse (fits);
  g_autoptr(JsonNode) node = nested_node (KCP_JSON_MAX_DEPTH);
  g_autoptr(JsonNode) deeper = nested_node (KCP_JSON_MAX_DEPTH + 1);
  g_autofree char *written = write_text (node);

  g_assert_cmpstr (written, ==, fits);
  g_assert_true (json_node_equal (node, parsed));

  assert_refused (too_deep, -1, "more than 128 objects and arrays inside each other");
  assert_refused (far_too_deep, -1, "1:129 (byte 128): more than 128");
  assert_not_written (deeper, "more than 128 objects and arrays inside each other");
}

/* Only what is open counts, not what was. */
static void
test_depth_closed_again (void)
{
  g_autoptr(GString) text = g_string_new ("[0");
  g_autoptr(JsonNode) node = NULL;

  for (guint i = 0; i < 1000; i++)
    g_string_append (text, ",[{}]");
  g_string_append_c (text, ']');

  node = parse (text->str);
  g_assert_cmpuint (json_array_get_length (json_node_get_array (node)), ==, 1001);
}

/* An object of 3^@pairs keys; if @same, GLib's string hash is the same for all: 33 × 'a' + 'z' is
 * 33 × 'b' + 'Y' and 33 × 'c' + '8'. */
static char *
many_keys (guint    pairs,
           gboolean same)
{
  GString *text = g_string_new ("{");
  guint n = 1;

  for (guint i = 0; i < pairs; i++)
    n *= 3;

  for (guint i = 0; i < n; i++)
    {
      guint rest = i;

      g_string_append (text, i > 0 ? ",\"" : "\"");
      for (guint j = 0; j < pairs; j++, rest /= 3)
        {
          g_string_append_c (text, 'a' + rest % 3);
          g_string_append_c (text, same ? 'z' - 33 * (rest % 3) : 'z');
        }
      g_string_append (text, "\":0");
    }
  g_string_append_c (text, '}');

  return g_string_free (text, FALSE);
}

static void
test_same_hash (void)
{
  g_autofree char *few = many_keys (4, TRUE);
  g_autofree char *many = many_keys (9, TRUE);
  g_autofree char *ordinary = many_keys (9, FALSE);
  g_autoptr(GString) repeated = g_string_new ("[0");
  g_autoptr(JsonNode) few_node = parse (few);
  g_autoptr(JsonNode) ordinary_node = parse (ordinary);
  g_autoptr(JsonNode) repeated_node = NULL;
  g_autofree char *object = many_keys (5, FALSE);

  g_assert_cmpuint (json_object_get_size (json_node_get_object (few_node)), ==, 81);
  g_assert_cmpuint (json_object_get_size (json_node_get_object (ordinary_node)), ==, 19683);
  assert_refused (many, -1, "too many keys with the same hash in one object");

  /* A table with the same columns in each row is not such an object. */
  for (guint i = 0; i < 300; i++)
    g_string_append_printf (repeated, ",%s", object);
  g_string_append_c (repeated, ']');
  repeated_node = parse (repeated->str);
  g_assert_cmpuint (json_array_get_length (json_node_get_array (repeated_node)), ==, 301);
}

static void
test_writer_refuses (void)
{
  g_autoptr(JsonNode) object = parse ("{\"a\":[0,{}]}");
  g_autoptr(JsonNode) string = json_node_init_string (json_node_alloc (), "plain \xff");
  g_autoptr(JsonNode) empty = json_node_new (JSON_NODE_VALUE);
  g_autoptr(JsonNode) no_object = json_node_new (JSON_NODE_OBJECT);
  g_autoptr(JsonNode) no_array = json_node_new (JSON_NODE_ARRAY);
  g_autoptr(GError) error = NULL;
  JsonArray *array = json_object_get_array_member (json_node_get_object (object), "a");
  JsonObject *inner = json_array_get_object_element (array, 1);
  const double not_finite[] = { NAN, -NAN, INFINITY, -INFINITY };

  for (guint i = 0; i < G_N_ELEMENTS (not_finite); i++)
    {
      g_autoptr(JsonNode) node = json_node_init_double (json_node_alloc (), not_finite[i]);

      assert_not_written (node, "cannot write JSON: number is not finite");
    }

  assert_not_written (string, "text is not UTF-8");
  assert_not_written (empty, "value of a type that JSON does not have");
  assert_not_written (no_object, "object node without an object");
  assert_not_written (no_array, "array node without an array");
  assert_not_written (NULL, "there is no node");

  json_object_set_double_member (inner, "x", NAN);
  assert_not_written (object, "cannot write JSON at /a/1/x: number is not finite");
  json_object_remove_member (inner, "x");
  json_object_set_int_member (inner, "k\xc3(", 1);
  assert_not_written (object, "cannot write JSON at /a/1/k\\xc3(: text is not UTF-8");

  g_assert_null (kcp_json_to_string (object, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
}

/* A tree that contains itself ends at the depth, and its path in the message is cut. */
static void
test_writer_refuses_cycle (void)
{
  g_autoptr(JsonNode) node = parse ("{}");
  JsonObject *object = json_node_get_object (node);

  json_object_set_member (object, "again", json_node_ref (node));
  assert_not_written (node, "cannot write JSON at …/again/again");
  json_object_remove_member (object, "again");
}

static void
test_writer_appends (void)
{
  g_autoptr(GString) out = g_string_new ("x");
  g_autoptr(GError) error = NULL;
  g_autoptr(JsonNode) node = parse (sample);

  g_assert_true (kcp_json_append (out, node, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (out->str, ==,
                   "x{\"name\":\"thumbnail \U0001f600 \u20ac\",\"size\":[640,-480,1500.0],"
                   "\"ok\":true,\"bad\":false,\"none\":null,\"deep\":{\"a\":[[],{}],\"\\\"\\\\\":0.25}}");
}

/* Specials at each place of a word of eight bytes, with each kind of byte around them. */
static void
test_string_places (void)
{
  static const char *const fillers[] = { "x", " ", "!", "#", "[", "]", "\x7f", "é", "\u00a2", "\u00dc" };
  static const char specials[] = "\"\\\x01\x1f\n";

  for (guint f = 0; f < G_N_ELEMENTS (fillers); f++)
    for (guint place = 0; place < 40; place++)
      for (guint s = 0; s < sizeof specials; s++)
        {
          g_autoptr(GString) text = g_string_new (NULL);
          g_autoptr(JsonNode) node = NULL;
          g_autoptr(JsonNode) again = NULL;
          g_autofree char *written = NULL;

          for (guint i = 0; i < 40; i++)
            if (i == place && s < sizeof specials - 1)
              g_string_append_c (text, specials[s]);
            else
              g_string_append (text, fillers[f]);

          node = json_node_init_string (json_node_alloc (), text->str);
          written = write_text (node);
          again = parse (written);
          g_assert_cmpstr (json_node_get_string (again), ==, text->str);
        }
}

static void
test_prefixes (void)
{
  for (gsize length = 0; length < strlen (sample); length++)
    {
      g_autofree char *prefix = length > 0 ? g_memdup2 (sample, length) : NULL;

      assert_refused (prefix, length, "invalid JSON");
    }
}

/* A text with one byte changed is refused properly, or read as something that can be written. */
static void
test_mutations (void)
{
  gsize length = strlen (sample);
  guint refused = 0;

  for (guint i = 0; i < 50000; i++)
    {
      g_autofree char *text = g_memdup2 (sample, length);
      g_autoptr(GError) error = NULL;
      g_autoptr(JsonNode) node = NULL;

      text[g_test_rand_int_range (0, length)] = g_test_rand_int_range (0, 256);
      node = kcp_json_parse (text, length, &error);
      g_assert_true ((node == NULL) == (error != NULL));
      if (node != NULL)
        {
          g_free (write_text (node));
          continue;
        }

      g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      refused++;
    }

  g_assert_cmpuint (refused, >, 10000);
}

static void
add_cases (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (json_cases); i++)
    {
      const JsonCase *row = &json_cases[i];
      const char *kind = row->reason != NULL ? "reject" : "accept";
      g_autofree char *path = g_strdup_printf ("/json/rfc8259/%s/%s", kind, row->name);

      g_test_add_data_func (path, row, test_case);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  add_cases ();
  g_test_add_func ("/json/types", test_types);
  g_test_add_func ("/json/parents", test_parents);
  g_test_add_func ("/json/length", test_length);
  g_test_add_func ("/json/position", test_position);
  g_test_add_func ("/json/excerpt", test_excerpt);
  g_test_add_func ("/json/depth", test_depth);
  g_test_add_func ("/json/depth/closed-again", test_depth_closed_again);
  g_test_add_func ("/json/same-hash", test_same_hash);
  g_test_add_func ("/json/writer/refuses", test_writer_refuses);
  g_test_add_func ("/json/writer/refuses-cycle", test_writer_refuses_cycle);
  g_test_add_func ("/json/writer/appends", test_writer_appends);
  g_test_add_func ("/json/string-places", test_string_places);
  g_test_add_func ("/json/prefixes", test_prefixes);
  g_test_add_func ("/json/mutations", test_mutations);

  return g_test_run ();
}
