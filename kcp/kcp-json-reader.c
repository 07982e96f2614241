/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-json-scanner-private.h"

#include "kcp-error.h"

/* Members an object may have before their hashes are watched, and keys of one hash that pass then. */
#define CROWD_FROM 128
#define CROWD_LIMIT 64
#define CROWD_BITS 15

/* json-glib puts members into a hash table whose hash is the same in every process. Whoever makes keys
 * of one hash (a program of ten lines can) makes each member cost as much as all before it: half a
 * megabyte of text would take seconds, sixteen an hour. So in big objects keys are counted by hash,
 * those of all objects of the text together in a table of fixed size. Each object's salt is random, so
 * that nobody can aim at a counter, and the same keys in many objects do not add up. */
typedef struct
{
  guint total;
  guint16 counts[1 << CROWD_BITS];
} Crowd;

/* An open container. One of @object and @array is set, and both belong to @node. */
typedef struct
{
  JsonNode *node;
  JsonObject *object;
  JsonArray *array;
  guint32 salt;
} Level;

/* A node is hung into the tree as soon as it exists, so @root alone owns everything. @key is apart from
 * @text because the member's value is read before the member can be made. */
typedef struct
{
  KcpJsonScanner scanner;
  JsonNode *root;
  const char *key_position;
  guint depth;
  Level levels[KCP_JSON_MAX_DEPTH];
  KcpJsonScratch key;
  KcpJsonScratch text;
  Crowd *crowd;
} Reader;

/* Whether the hash of the current key is too frequent to be chance. */
static gboolean
is_crowded (Reader *reader,
            Level  *level)
{
  Crowd *crowd = reader->crowd;
  guint32 bucket;

  if (crowd == NULL)
    crowd = reader->crowd = g_new0 (Crowd, 1);
  if (level->salt == 0)
    level->salt = g_random_int () | 1;

  /* Hashes of numbered keys follow each other. Multiplied once only, they could still meet in few
   * counters, for some salts. */
  bucket = g_str_hash (reader->key.data) ^ level->salt;
  for (guint i = 0; i < 3; i++)
    {
      bucket *= 0x9e3779b1;
      bucket ^= bucket >> 15;
    }
  bucket >>= 32 - CROWD_BITS;
  crowd->total++;

  /* Eight times the average is never reached by chance. */
  return ++crowd->counts[bucket] > CROWD_LIMIT + (crowd->total >> (CROWD_BITS - 3));
}

/* Takes @node. A key the object has already shows in that the object does not grow: json-glib has then
 * replaced the older member. Comparing sizes costs less than looking the key up first. */
static gboolean
attach (Reader   *reader,
        JsonNode *node)
{
  Level *level;
  guint size;

  if (reader->depth == 0)
    {
      reader->root = node;
      return TRUE;
    }

  /* JsonReader finds its way back by the parents. */
  level = &reader->levels[reader->depth - 1];
  json_node_set_parent (node, level->node);

  if (level->array != NULL)
    {
      json_array_add_element (level->array, node);
      return TRUE;
    }

  size = json_object_get_size (level->object);
  if (size >= CROWD_FROM && is_crowded (reader, level))
    {
      json_node_unref (node);
      return kcp_json_scanner_fail (&reader->scanner, reader->key_position,
                                    "too many keys with the same hash in one object");
    }

  json_object_set_member (level->object, reader->key.data, node);
  if (json_object_get_size (level->object) == size)
    {
      g_autofree char *key = kcp_json_excerpt (reader->key.data, strlen (reader->key.data));

      return kcp_json_scanner_fail (&reader->scanner, reader->key_position, "duplicate key “%s”", key);
    }

  return TRUE;
}

static gboolean
read_word (Reader *reader)
{
  KcpJsonScanner *scanner = &reader->scanner;
  gsize length = kcp_json_scanner_word_length (scanner);
  JsonNode *node = NULL;

  if (length == 4 && memcmp (scanner->p, "true", 4) == 0)
    node = json_node_init_boolean (json_node_alloc (), TRUE);
  else if (length == 5 && memcmp (scanner->p, "false", 5) == 0)
    node = json_node_init_boolean (json_node_alloc (), FALSE);
  else if (length == 4 && memcmp (scanner->p, "null", 4) == 0)
    node = json_node_init_null (json_node_alloc ());
  else
    return kcp_json_scanner_fail_expected (scanner, "a value");

  scanner->p += length;

  return attach (reader, node);
}

static gboolean
read_number (Reader *reader)
{
  KcpJsonNumber number;

  if (!kcp_json_scanner_take_number (&reader->scanner, &reader->text, &number))
    return FALSE;

  if (number.is_integer)
    return attach (reader, json_node_init_int (json_node_alloc (), number.integer));

  return attach (reader, json_node_init_double (json_node_alloc (), number.real));
}

static gboolean
read_text (Reader *reader)
{
  if (!kcp_json_scanner_take_string (&reader->scanner, &reader->text))
    return FALSE;

  return attach (reader, json_node_init_string (json_node_alloc (), reader->text.data));
}

static gboolean
open_container (Reader *reader)
{
  KcpJsonScanner *scanner = &reader->scanner;
  Level level = { NULL, NULL, NULL, 0 };

  if (reader->depth == KCP_JSON_MAX_DEPTH)
    return kcp_json_scanner_fail (scanner, scanner->p, "more than %d objects and arrays inside each other",
                                  KCP_JSON_MAX_DEPTH);

  if (*scanner->p++ == '{')
    {
      level.node = json_node_init (json_node_alloc (), JSON_NODE_OBJECT);
      level.object = json_object_new ();
      json_node_take_object (level.node, level.object);
    }
  else
    {
      level.node = json_node_init (json_node_alloc (), JSON_NODE_ARRAY);
      level.array = json_array_new ();
      json_node_take_array (level.node, level.array);
    }

  if (!attach (reader, level.node))
    return FALSE;

  reader->levels[reader->depth++] = level;

  return TRUE;
}

/* Reads a value without parts, or the beginning of one with parts. */
static gboolean
read_value (Reader   *reader,
            gboolean *opened)
{
  KcpJsonScanner *scanner = &reader->scanner;
  kcp_json_scanner_skip_space (scanner);
  *opened = kcp_json_scanner_is_at (scanner, '{') || kcp_json_scanner_is_at (scanner, '[');

  if (*opened)
    return open_container (reader);
  if (kcp_json_scanner_is_at (scanner, '"'))
    return read_text (reader);
  if (kcp_json_scanner_is_at (scanner, '-') || kcp_json_scanner_is_at_digit (scanner))
    return read_number (reader);

  return read_word (reader);
}

static gboolean
read_key (Reader *reader)
{
  KcpJsonScanner *scanner = &reader->scanner;
  kcp_json_scanner_skip_space (scanner);
  if (!kcp_json_scanner_is_at (scanner, '"'))
    return kcp_json_scanner_fail_expected (scanner, "a key");

  reader->key_position = scanner->p;
  if (!kcp_json_scanner_take_string (scanner, &reader->key))
    return FALSE;

  kcp_json_scanner_skip_space (scanner);
  if (!kcp_json_scanner_is_at (scanner, ':'))
    return kcp_json_scanner_fail_expected (scanner, "“:”");
  scanner->p++;

  return TRUE;
}

/* After a value, or after the opening of one: closes what ends here, and goes on to where the next
 * value must be. Nothing is open any more when there is none. */
static gboolean
go_to_next_value (Reader   *reader,
                  gboolean  opened)
{
  KcpJsonScanner *scanner = &reader->scanner;
  while (reader->depth > 0)
    {
      gboolean in_object = reader->levels[reader->depth - 1].object != NULL;

      kcp_json_scanner_skip_space (scanner);
      if (kcp_json_scanner_is_at (scanner, in_object ? '}' : ']'))
        {
          scanner->p++;
          reader->depth--;
          opened = FALSE;
          continue;
        }

      if (!opened && !kcp_json_scanner_is_at (scanner, ','))
        return kcp_json_scanner_fail_expected (scanner, in_object ? "“,” or “}”" : "“,” or “]”");
      if (!opened)
        scanner->p++;

      return !in_object || read_key (reader);
    }

  return TRUE;
}

static gboolean
read_document (Reader *reader)
{
  KcpJsonScanner *scanner = &reader->scanner;
  gboolean opened;

  do
    {
      if (!read_value (reader, &opened) || !go_to_next_value (reader, opened))
        return FALSE;
    }
  while (reader->depth > 0);

  kcp_json_scanner_skip_space (scanner);

  if (scanner->p < scanner->end)
    return kcp_json_scanner_fail_expected (scanner, "the end of the text");

  return TRUE;
}

/**
 * kcp_json_parse:
 * @text: (array length=length) (element-type guint8) (nullable): JSON text; may only be %NULL when
 *   @length is 0
 * @length: how many bytes of @text there are, or -1 if it ends with a NUL byte
 * @error: return location for an error
 *
 * Reads one JSON value, strictly as RFC 8259 has it.
 *
 * Where the RFC leaves a choice, what other programs could take for something else is refused:
 * a byte order mark (section 8.1), a key that is in its object already (section 4), an integer that
 * does not fit in 64 bits, a number that is no finite double (section 6), U+0000 and half a surrogate
 * pair in a string (section 8.2), more than %KCP_JSON_MAX_DEPTH objects and arrays inside each other
 * (section 9). So is an object whose many keys were made to have the same hash.
 *
 * A number with neither fraction nor exponent becomes an integer node, any other number a double node.
 * The JSON value `null` becomes a node of type %JSON_NODE_NULL, never %NULL.
 *
 * It keeps no state and does not look at the locale: any thread may call it.
 *
 * Returns: (transfer full) (nullable): the tree, or %NULL with @error set to
 *   %KCP_ERROR_INVALID_MESSAGE, with line, column and byte in the message
 */
JsonNode *
kcp_json_parse (const char  *text,
                gssize       length,
                GError     **error)
{
  Reader reader;

  g_return_val_if_fail (text != NULL || length == 0, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (text == NULL)
    text = "";

  reader.scanner.start = text;
  reader.scanner.p = text;
  reader.scanner.end = text + (length >= 0 ? (gsize) length : strlen (text));
  reader.scanner.error = NULL;
  reader.root = NULL;
  reader.depth = 0;
  reader.crowd = NULL;
  kcp_json_scratch_init (&reader.key);
  kcp_json_scratch_init (&reader.text);

  if (!read_document (&reader))
    {
      g_clear_pointer (&reader.root, json_node_unref);
      g_propagate_error (error, reader.scanner.error);
    }

  kcp_json_scratch_clear (&reader.key);
  kcp_json_scratch_clear (&reader.text);
  g_free (reader.crowd);

  return reader.root;
}
