/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-json.h"

#include <math.h>
#include <string.h>

/* kcp's codec against json-glib's own parser and generator, on documents both must understand. */

static JsonNode *random_node (guint depth);

static guint64
random_bits (void)
{
  return (guint64) g_test_rand_int () << 32 | (guint32) g_test_rand_int ();
}

static double
random_double (void)
{
  for (;;)
    {
      guint64 bits = random_bits ();
      double value;

      if (g_test_rand_bit ())
        return g_test_rand_int_range (-100000, 100000) / 64.0;

      memcpy (&value, &bits, sizeof value);
      if (isnormal (value))
        return value;
    }
}

static gunichar
random_character (void)
{
  switch (g_test_rand_int_range (0, 6))
    {
    case 0:
      /* json-glib 1.6 writes U+001F as it is, against section 7 of RFC 8259. */
      return g_test_rand_int_range (0x01, 0x1f);
    case 1:
      return "\"\\/\x7f"[g_test_rand_int_range (0, 4)];
    case 2:
      return g_test_rand_int_range (0x80, 0xd800);
    case 3:
      return g_test_rand_int_range (0x10000, 0x110000);
    default:
      return g_test_rand_int_range (0x20, 0x7f);
    }
}

static char *
random_text (void)
{
  GString *text = g_string_new (NULL);

  for (int i = g_test_rand_int_range (0, 30); i > 0; i--)
    g_string_append_unichar (text, random_character ());

  return g_string_free (text, FALSE);
}

static JsonNode *
random_array (guint depth)
{
  JsonNode *node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *array = json_array_new ();

  for (int i = g_test_rand_int_range (0, 6); i > 0; i--)
    json_array_add_element (array, random_node (depth + 1));
  json_node_take_array (node, array);

  return node;
}

/* json-glib does not read empty keys; the number in front also keeps them apart. */
static JsonNode *
random_object (guint depth)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();

  for (int i = g_test_rand_int_range (0, 6); i > 0; i--)
    {
      g_autofree char *text = random_text ();
      g_autofree char *key = g_strdup_printf ("%d%s", i, text);

      json_object_set_member (object, key, random_node (depth + 1));
    }
  json_node_take_object (node, object);

  return node;
}

static JsonNode *
random_node (guint depth)
{
  g_autofree char *text = NULL;
  gint64 integer;

  switch (g_test_rand_int_range (depth < 6 ? 0 : 4, 10))
    {
    case 0:
    case 1:
      return random_array (depth);
    case 2:
    case 3:
      return random_object (depth);
    case 4:
      return json_node_init_null (json_node_alloc ());
    case 5:
      return json_node_init_boolean (json_node_alloc (), g_test_rand_bit ());
    case 6:
      return json_node_init_double (json_node_alloc (), random_double ());
    case 7:
      /* json-glib reads a number by its digits and puts the sign to it after that: no minimum. */
      integer = random_bits () >> g_test_rand_int_range (1, 64);
      return json_node_init_int (json_node_alloc (), g_test_rand_bit () ? integer : -integer);
    default:
      text = random_text ();
      return json_node_init_string (json_node_alloc (), text);
    }
}

static char *
write_ours (JsonNode *node)
{
  g_autoptr(GError) error = NULL;
  char *text = kcp_json_to_string (node, &error);

  g_assert_no_error (error);

  return text;
}

static JsonNode *
read_ours (const char *text)
{
  g_autoptr(GError) error = NULL;
  JsonNode *node = kcp_json_parse (text, -1, &error);

  g_assert_no_error (error);
  g_assert_nonnull (node);

  return node;
}

static JsonNode *
read_theirs (const char *text)
{
  g_autoptr(JsonParser) parser = json_parser_new_immutable ();
  g_autoptr(GError) error = NULL;

  json_parser_load_from_data (parser, text, -1, &error);
  g_assert_no_error (error);

  return json_parser_steal_root (parser);
}

/* Equal, and of the same types in the same order: json_node_equal() takes some types for another. */
static void
assert_same (JsonNode *one,
             JsonNode *other)
{
  g_autofree char *one_text = write_ours (one);
  g_autofree char *other_text = write_ours (other);

  g_assert_true (json_node_equal (one, other));
  g_assert_cmpstr (one_text, ==, other_text);
}

static void
assert_read_alike (const char *text)
{
  g_autoptr(JsonNode) ours = read_ours (text);
  g_autoptr(JsonNode) theirs = read_theirs (text);

  assert_same (ours, theirs);
}

static void
test_documents (void)
{
  static const char *const documents[] = {
    "{}",
    "[]",
    "[1,-1,0,9223372036854775807,-9223372036854775807]",
    "[1.5,-1.5,1e3,1E-3,1.25e+2,0.1,123456.789]",
    "{\"a\":{\"b\":[{\"c\":null},true,false]}}",
    "[\"\",\"a\",\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"\\u0041\\u20ac\\ud83d\\ude00\",\"\u20ac\U0001f600\"]",
    "\n{ \"Image\" : { \"Width\" : 800 , \"IDs\" : [ 116 , 943 ] , \"Animated\" : false } }\n",
  };

  for (guint i = 0; i < G_N_ELEMENTS (documents); i++)
    assert_read_alike (documents[i]);
}

/* What one side writes, both sides read, and it is what was written. */
static void
test_random (void)
{
  for (guint i = 0; i < 4000; i++)
    {
      g_autoptr(JsonNode) node = g_test_rand_bit () ? random_array (0) : random_object (0);
      g_autofree char *our_text = write_ours (node);
      g_autofree char *their_text = json_to_string (node, FALSE);
      g_autofree char *their_pretty_text = json_to_string (node, TRUE);
      g_autoptr(JsonNode) ours = read_ours (our_text);
      g_autoptr(JsonNode) theirs = read_theirs (our_text);
      g_autoptr(JsonNode) ours_of_theirs = read_ours (their_text);
      g_autoptr(JsonNode) ours_of_pretty = read_ours (their_pretty_text);

      assert_same (ours, node);
      assert_same (theirs, node);
      assert_same (ours_of_theirs, node);
      assert_same (ours_of_pretty, node);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/json-glib/documents", test_documents);
  g_test_add_func ("/json-glib/random", test_random);

  return g_test_run ();
}
