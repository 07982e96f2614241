/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-manifest-private.h"

#include "kcp-error.h"
#include "kcp-message-codec-private.h"

struct _KcpManifest
{
  gatomicrefcount ref_count;
  char *name, *version, *description, *config_help;
  char **paths;
  GHashTable *descriptions;   /* path (of paths) → text */
  gboolean any_path;
};

/**
 * KcpManifest:
 *
 * What a plugin says of itself: names, texts for people, and the paths it serves. Immutable; may
 * be used from any thread.
 */
G_DEFINE_BOXED_TYPE (KcpManifest, kcp_manifest, kcp_manifest_ref, kcp_manifest_unref)

static gboolean
decode_handler (KcpManifest  *self,
                JsonNode     *node,
                GPtrArray    *paths,
                GError      **error)
{
  JsonObject *object = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  const char *path = NULL, *description = NULL;

  if (object == NULL)
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "a handler is not an object");
      return FALSE;
    }
  if (!kcp_codec_get_string (object, "path", &path, error) ||
      !kcp_codec_get_string (object, "description", &description, error))
    return FALSE;
  if (path == NULL || !kcp_codec_path_is_valid (path, strlen (path)))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "a handler has no valid path");
      return FALSE;
    }

  g_ptr_array_add (paths, g_strdup (path));
  if (description)
    g_hash_table_insert (self->descriptions, g_strdup (path), g_strdup (description));
  return TRUE;
}

static gboolean
decode_members (KcpManifest  *self,
                JsonObject   *object,
                GError      **error)
{
  const char *name = NULL, *version = NULL, *description = NULL, *help = NULL;
  JsonNode *handlers = json_object_get_member (object, "handlers");
  JsonNode *any = json_object_get_member (object, "any_path");
  JsonArray *array = handlers && JSON_NODE_HOLDS_ARRAY (handlers) ? json_node_get_array (handlers) : NULL;
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);

  if (!kcp_codec_get_string (object, "name", &name, error) ||
      !kcp_codec_get_string (object, "version", &version, error) ||
      !kcp_codec_get_string (object, "description", &description, error) ||
      !kcp_codec_get_string (object, "config_help", &help, error))
    return FALSE;

  for (guint i = 0; array && i < json_array_get_length (array); i++)
    if (!decode_handler (self, json_array_get_element (array, i), paths, error))
      return FALSE;

  self->name = g_strdup (name ? name : "");
  self->version = g_strdup (version);
  self->description = g_strdup (description);
  self->config_help = g_strdup (help);
  self->any_path = any && JSON_NODE_HOLDS_VALUE (any) && json_node_get_value_type (any) == G_TYPE_BOOLEAN &&
                   json_node_get_boolean (any);
  g_ptr_array_add (paths, NULL);
  self->paths = (char **) g_ptr_array_free (g_steal_pointer (&paths), FALSE);
  return TRUE;
}

KcpManifest *
kcp_manifest_decode (JsonObject  *object,
                     GError     **error)
{
  g_autoptr (KcpManifest) self = g_new0 (KcpManifest, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->descriptions = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  if (!decode_members (self, object, error))
    {
      g_prefix_error (error, "the plugin's manifest: ");
      return NULL;
    }

  return g_steal_pointer (&self);
}

/**
 * kcp_manifest_ref:
 * @self: a manifest
 *
 * Returns: (transfer full): @self with one more reference
 */
KcpManifest *
kcp_manifest_ref (KcpManifest *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/**
 * kcp_manifest_unref:
 * @self: (transfer full): a manifest
 *
 * Drops one reference.
 */
void
kcp_manifest_unref (KcpManifest *self)
{
  g_return_if_fail (self != NULL);

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_free (self->name);
  g_free (self->version);
  g_free (self->description);
  g_free (self->config_help);
  g_strfreev (self->paths);
  g_hash_table_unref (self->descriptions);
  g_free (self);
}

/**
 * kcp_manifest_get_name:
 * @self: a manifest
 *
 * Returns: (transfer none): the plugin's name
 */
const char *
kcp_manifest_get_name (KcpManifest *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->name;
}

/**
 * kcp_manifest_get_version:
 * @self: a manifest
 *
 * Returns: (transfer none) (nullable): the plugin's own version
 */
const char *
kcp_manifest_get_version (KcpManifest *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->version;
}

/**
 * kcp_manifest_get_description:
 * @self: a manifest
 *
 * Returns: (transfer none) (nullable): what the plugin does, for people
 */
const char *
kcp_manifest_get_description (KcpManifest *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->description;
}

/**
 * kcp_manifest_get_config_help:
 * @self: a manifest
 *
 * Returns: (transfer none) (nullable): a line for each key the plugin can be configured with
 */
const char *
kcp_manifest_get_config_help (KcpManifest *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->config_help;
}

/**
 * kcp_manifest_get_paths:
 * @self: a manifest
 *
 * Returns: (transfer none) (array zero-terminated=1): the paths in the plugin's table
 */
const char *const *
kcp_manifest_get_paths (KcpManifest *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return (const char *const *) self->paths;
}

/**
 * kcp_manifest_get_path_description:
 * @self: a manifest
 * @path: one of its paths
 *
 * Returns: (transfer none) (nullable): what @path does, for people
 */
const char *
kcp_manifest_get_path_description (KcpManifest *self,
                                   const char  *path)
{
  g_return_val_if_fail (self != NULL, NULL);
  g_return_val_if_fail (path != NULL, NULL);

  return g_hash_table_lookup (self->descriptions, path);
}

/**
 * kcp_manifest_serves_any_path:
 * @self: a manifest
 *
 * Returns: whether the plugin also takes paths that are not in its table
 */
gboolean
kcp_manifest_serves_any_path (KcpManifest *self)
{
  g_return_val_if_fail (self != NULL, FALSE);

  return self->any_path;
}

static void
add_text (JsonObject *object,
          const char *name,
          const char *text)
{
  if (text)
    json_object_set_string_member (object, name, text);
}

/**
 * kcp_manifest_to_json:
 * @self: a manifest
 *
 * Returns: (transfer full): the manifest as a JSON object
 */
JsonNode *
kcp_manifest_to_json (KcpManifest *self)
{
  JsonNode *node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();
  JsonArray *handlers = json_array_new ();

  g_return_val_if_fail (self != NULL, NULL);

  add_text (object, "name", self->name);
  add_text (object, "version", self->version);
  add_text (object, "description", self->description);
  add_text (object, "config_help", self->config_help);
  for (guint i = 0; self->paths[i]; i++)
    {
      JsonObject *handler = json_object_new ();

      add_text (handler, "path", self->paths[i]);
      add_text (handler, "description", g_hash_table_lookup (self->descriptions, self->paths[i]));
      json_array_add_object_element (handlers, handler);
    }
  json_object_set_array_member (object, "handlers", handlers);
  json_object_set_boolean_member (object, "any_path", self->any_path);

  json_node_take_object (node, object);
  return node;
}
