/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-trace-context-private.h"

#include <string.h>

#define MAX_KEY_LENGTH 256
#define MAX_VALUE_LENGTH 256

/* What a byte may be part of. NUL is part of nothing, so that every loop ends there. */
enum
{
  IS_HEX = 1 << 0,       /* ids, version, flags: lower case only */
  IS_KEY_START = 1 << 1, /* first character of a tracestate key */
  IS_KEY = 1 << 2,       /* the others of a key */
  IS_VALUE = 1 << 3,     /* tracestate value; a space too, though not as the last one */
};

static const guint8 classes[256] = {
  [' ' ... ')'] = IS_VALUE,
  ['*'] = IS_KEY | IS_VALUE,
  ['+'] = IS_VALUE,
  ['-'] = IS_KEY | IS_VALUE,
  ['.'] = IS_VALUE,
  ['/'] = IS_KEY | IS_VALUE,
  ['0' ... '9'] = IS_HEX | IS_KEY_START | IS_KEY | IS_VALUE,
  [':' ... '<'] = IS_VALUE,
  ['>' ... '?'] = IS_VALUE,
  ['@'] = IS_KEY | IS_VALUE,
  ['A' ... '^'] = IS_VALUE,
  ['_'] = IS_KEY | IS_VALUE,
  ['`'] = IS_VALUE,
  ['a' ... 'f'] = IS_HEX | IS_KEY_START | IS_KEY | IS_VALUE,
  ['g' ... 'z'] = IS_KEY_START | IS_KEY | IS_VALUE,
  ['{' ... '~'] = IS_VALUE,
};

static inline gboolean
is_class (char   c,
          guint8 wanted)
{
  return (classes[(guint8) c] & wanted) != 0;
}

static gboolean
is_hex (const char *text,
        gsize       length)
{
  guint8 all = IS_HEX;

  for (gsize i = 0; i < length; i++)
    all &= classes[(guint8) text[i]];

  return all != 0;
}

/* For text that is_hex() has seen. */
static gboolean
is_all_zero (const char *text,
             gsize       length)
{
  char all = '0';

  for (gsize i = 0; i < length; i++)
    all |= text[i];

  return all == '0';
}

/* A higher version has the same first 55 characters and may have
 * more after another dash: 3.2.4 Versioning of traceparent. */
const char *
kcp_traceparent_find_fault (const char *text)
{
  if (strnlen (text, KCP_TRACEPARENT_LENGTH) < KCP_TRACEPARENT_LENGTH)
    return "shorter than 55 characters";

  if (!is_hex (text, 2) || text[KCP_TRACE_ID_OFFSET - 1] != '-')
    return "version is not two lower-case hex digits and a dash";
  if (memcmp (text, "ff", 2) == 0)
    return "version ff is forbidden";

  if (!is_hex (text + KCP_TRACE_ID_OFFSET, KCP_TRACE_ID_LENGTH) || text[KCP_SPAN_ID_OFFSET - 1] != '-')
    return "trace id is not 32 lower-case hex digits and a dash";
  if (is_all_zero (text + KCP_TRACE_ID_OFFSET, KCP_TRACE_ID_LENGTH))
    return "trace id is all zeros";

  if (!is_hex (text + KCP_SPAN_ID_OFFSET, KCP_SPAN_ID_LENGTH) || text[KCP_TRACE_FLAGS_OFFSET - 1] != '-')
    return "parent id is not 16 lower-case hex digits and a dash";
  if (is_all_zero (text + KCP_SPAN_ID_OFFSET, KCP_SPAN_ID_LENGTH))
    return "parent id is all zeros";

  if (!is_hex (text + KCP_TRACE_FLAGS_OFFSET, 2))
    return "flags are not two lower-case hex digits";

  if (text[KCP_TRACEPARENT_LENGTH] == '\0')
    return NULL;
  if (memcmp (text, "00", 2) == 0)
    return "longer than the 55 characters of version 00";
  if (text[KCP_TRACEPARENT_LENGTH] != '-')
    return "no dash after the flags";

  return NULL;
}

/* Reads `key=value` and returns what follows, or NULL. The spaces behind a value are read too but
 * are not part of it; those at its start are: 3.3.1.3.2 Value. */
static const char *
read_member (const char          *text,
             KcpTracestateMember *member)
{
  const char *value;
  const char *value_end;

  member->start = text;

  if (!is_class (*text, IS_KEY_START))
    return NULL;
  while (is_class (*text, IS_KEY))
    text++;

  member->key_length = text - member->start;
  if (*text != '=' || member->key_length > MAX_KEY_LENGTH)
    return NULL;

  value = value_end = ++text;
  for (; is_class (*text, IS_VALUE); text++)
    if (*text != ' ')
      value_end = text + 1;

  if (value_end == value || value_end - value > MAX_VALUE_LENGTH)
    return NULL;

  member->length = value_end - member->start;

  return text;
}

static gboolean
has_key_of (const KcpTracestate       *tracestate,
            const KcpTracestateMember *member)
{
  for (guint i = 0; i < tracestate->n_members; i++)
    {
      const KcpTracestateMember *other = &tracestate->members[i];

      if (other->key_length == member->key_length &&
          memcmp (other->start, member->start, member->key_length) == 0)
        return TRUE;
    }

  return FALSE;
}

static const char *
skip_blanks (const char *text)
{
  while (*text == ' ' || *text == '\t')
    text++;

  return text;
}

static void
clear_tracestate (KcpTracestate *tracestate)
{
  tracestate->n_members = 0;
  tracestate->length = 0;
}

/* Reads one member into the next free place and returns what follows, or NULL. */
static const char *
add_member (const char    *text,
            KcpTracestate *tracestate)
{
  KcpTracestateMember member;

  if (tracestate->n_members == KCP_TRACESTATE_MAX_MEMBERS)
    return NULL;

  text = read_member (text, &member);
  if (text == NULL || has_key_of (tracestate, &member))
    return NULL;

  tracestate->length += member.length + (tracestate->n_members > 0 ? 1 : 0);
  tracestate->members[tracestate->n_members++] = member;

  return text;
}

/* Empty members do not count as members: they come from joining header lines, and are gone when the
 * list is written again. */
gboolean
kcp_tracestate_read (const char    *text,
                     KcpTracestate *tracestate)
{
  clear_tracestate (tracestate);

  if (text == NULL)
    return TRUE;

  for (;; text++)
    {
      text = skip_blanks (text);

      if (*text != ',' && *text != '\0')
        text = add_member (text, tracestate);

      if (text != NULL)
        text = skip_blanks (text);

      if (text == NULL || (*text != ',' && *text != '\0'))
        {
          clear_tracestate (tracestate);
          return FALSE;
        }

      if (*text == '\0')
        return TRUE;
    }
}

void
kcp_tracestate_write (const KcpTracestate *tracestate,
                      char                *out)
{
  for (guint i = 0; i < tracestate->n_members; i++)
    {
      const KcpTracestateMember *member = &tracestate->members[i];

      if (i > 0)
        *out++ = ',';
      memcpy (out, member->start, member->length);
      out += member->length;
    }
}
