/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-resource-limits-private.h"

#include "kcp-error.h"
#include "kcp-message-codec-private.h"

/* On the wire, as high as the child can have it. */
#define UNLIMITED (-1)

#define NICE "nice"
#define NICE_MIN (-20)
#define NICE_MAX 19
#define OOM_SCORE "oom_score_adj"
#define OOM_SCORE_LIMIT 1000

static const struct
{
  const char *name;   /* on the wire */
  const char *what;   /* behind a number, for people */
} resources[KCP_N_RESOURCES] = {
  [KCP_RESOURCE_ADDRESS_SPACE] = { "address_space", "bytes of address space" },
  [KCP_RESOURCE_CPU_TIME] = { "cpu_seconds", "s of CPU time" },
  [KCP_RESOURCE_OPEN_FILES] = { "open_files", "open files" },
  [KCP_RESOURCE_CORE_SIZE] = { "core_size", "bytes of core dump" },
  [KCP_RESOURCE_FILE_SIZE] = { "file_size", "bytes in a file" },
};

char *
kcp_resource_describe (KcpResource resource,
                       guint64     limit)
{
  if (limit == KCP_RESOURCE_UNLIMITED)
    return g_strdup_printf ("unlimited %s", resources[resource].what);

  return g_strdup_printf ("%" G_GUINT64_FORMAT " %s", limit, resources[resource].what);
}

static gboolean
check_range (const char  *name,
             gboolean     set,
             int          value,
             int          minimum,
             int          maximum,
             GError     **error)
{
  if (!set || (value >= minimum && value <= maximum))
    return TRUE;

  g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT, "%s is %d, allowed are %d to %d",
               name, value, minimum, maximum);
  return FALSE;
}

gboolean
kcp_resource_limits_check (const KcpResourceLimits  *limits,
                           GError                  **error)
{
  return check_range ("the nice value", limits->has_nice, limits->nice, NICE_MIN, NICE_MAX, error) &&
         check_range ("the OOM score adjustment", limits->has_oom_score, limits->oom_score,
                      -OOM_SCORE_LIMIT, OOM_SCORE_LIMIT, error);
}

gboolean
kcp_resource_limits_allow_cores (const KcpResourceLimits *limits)
{
  return KCP_RESOURCE_IS_SET (limits, KCP_RESOURCE_CORE_SIZE) && limits->values[KCP_RESOURCE_CORE_SIZE] > 0;
}

JsonObject *
kcp_resource_limits_encode (const KcpResourceLimits *limits)
{
  JsonObject *object;

  if (limits->set == 0 && !limits->has_nice && !limits->has_oom_score)
    return NULL;

  object = json_object_new ();
  for (guint i = 0; i < KCP_N_RESOURCES; i++)
    if (KCP_RESOURCE_IS_SET (limits, i))
      json_object_set_int_member (object, resources[i].name,
                                  limits->values[i] == KCP_RESOURCE_UNLIMITED
                                    ? UNLIMITED
                                    : (gint64) MIN (limits->values[i], (guint64) G_MAXINT64));
  if (limits->has_nice)
    json_object_set_int_member (object, NICE, limits->nice);
  if (limits->has_oom_score)
    json_object_set_int_member (object, OOM_SCORE, limits->oom_score);

  return object;
}

/* One that is not known is not passed over: a host that limits something counts on it. */
static gboolean
check_names (JsonObject  *object,
             GError     **error)
{
  JsonObjectIter iter;
  const char *name;

  json_object_iter_init (&iter, object);
  while (json_object_iter_next (&iter, &name, NULL))
    {
      gboolean known = g_str_equal (name, NICE) || g_str_equal (name, OOM_SCORE);

      for (guint i = 0; !known && i < KCP_N_RESOURCES; i++)
        known = g_str_equal (name, resources[i].name);
      if (!known)
        {
          g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "this child knows no limit “%s”", name);
          return FALSE;
        }
    }

  return TRUE;
}

static gboolean
decode_members (JsonObject         *object,
                KcpResourceLimits  *limits,
                GError            **error)
{
  gint64 nice = 0, oom_score = 0;

  for (guint i = 0; i < KCP_N_RESOURCES; i++)
    {
      gint64 value = 0;

      if (!kcp_codec_get_int (object, resources[i].name, UNLIMITED, G_MAXINT64, &value, error))
        return FALSE;
      if (!json_object_has_member (object, resources[i].name))
        continue;
      limits->set |= 1u << i;
      limits->values[i] = value == UNLIMITED ? KCP_RESOURCE_UNLIMITED : (guint64) value;
    }

  if (!kcp_codec_get_int (object, NICE, NICE_MIN, NICE_MAX, &nice, error) ||
      !kcp_codec_get_int (object, OOM_SCORE, -OOM_SCORE_LIMIT, OOM_SCORE_LIMIT, &oom_score, error))
    return FALSE;

  limits->has_nice = json_object_has_member (object, NICE);
  limits->nice = (int) nice;
  limits->has_oom_score = json_object_has_member (object, OOM_SCORE);
  limits->oom_score = (int) oom_score;
  return TRUE;
}

gboolean
kcp_resource_limits_decode (JsonNode           *node,
                            KcpResourceLimits  *limits,
                            GError            **error)
{
  memset (limits, 0, sizeof *limits);
  if (node == NULL)
    return TRUE;

  if (!JSON_NODE_HOLDS_OBJECT (node))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "“limits” is not an object");
      return FALSE;
    }

  return check_names (json_node_get_object (node), error) &&
         decode_members (json_node_get_object (node), limits, error);
}
