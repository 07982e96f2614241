/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-config.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

#define KEY_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

static void
setting_free (gpointer data)
{
  HostSetting *setting = data;

  g_free (setting->key);
  g_free (setting->value);
  g_free (setting);
}

GPtrArray *
host_config_new (void)
{
  return g_ptr_array_new_with_free_func (setting_free);
}

gboolean
host_config_is_setting (const char *text)
{
  gsize key_length = strspn (text, KEY_CHARACTERS);

  return key_length > 0 && text[0] != '-' && text[key_length] == '=';
}

/* The content of a file without its last line end. */
static char *
read_value (const char  *file,
            GError     **error)
{
  g_autofree char *value = NULL;
  gsize length;

  if (!g_file_get_contents (file, &value, &length, error))
    return NULL;

  if (!g_utf8_validate_len (value, length, NULL))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, _("%s is not text in UTF-8"), file);
      return NULL;
    }

  if (length > 0 && value[length - 1] == '\n')
    value[length - 1] = '\0';
  return g_steal_pointer (&value);
}

gboolean
host_config_add (GPtrArray   *config,
                 const char  *text,
                 GError     **error)
{
  const char *value = strchr (text, '=') + 1;
  g_autofree char *key = g_strndup (text, (gsize) (value - text - 1));
  g_autofree char *content = NULL;
  HostSetting *setting;

  if (value[0] == '@' && value[1] != '@')
    {
      content = read_value (value + 1, error);
      if (content == NULL)
        {
          g_prefix_error (error, "%s: ", key);
          return FALSE;
        }
    }
  else if (!g_utf8_validate (value, -1, NULL))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, _("%s: the value is not text in UTF-8"), key);
      return FALSE;
    }
  else
    content = g_strdup (value[0] == '@' ? value + 1 : value);

  setting = g_new (HostSetting, 1);
  setting->key = g_steal_pointer (&key);
  setting->value = g_steal_pointer (&content);
  g_ptr_array_add (config, setting);
  return TRUE;
}

gboolean
host_config_add_file (GPtrArray   *config,
                      const char  *file,
                      GError     **error)
{
  g_autofree char *content = read_value (file, error);
  g_auto (GStrv) lines = NULL;

  if (content == NULL)
    return FALSE;

  lines = g_strsplit (content, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    {
      char *line = g_strchug (lines[i]);

      if (g_str_has_suffix (line, "\r"))
        line[strlen (line) - 1] = '\0';
      if (*line == '\0' || *line == '#')
        continue;

      /* The line itself may be a secret: the complaint says only where it is. */
      if (!host_config_is_setting (line))
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                       _("%s, line %u: this is not KEY=VALUE"), file, i + 1);
          return FALSE;
        }
      if (!host_config_add (config, line, error))
        {
          g_prefix_error (error, _("%s, line %u: "), file, i + 1);
          return FALSE;
        }
    }

  return TRUE;
}

/* ---- where plugins are ---- */

static gboolean
is_there (const char *file)
{
  return g_file_test (file, G_FILE_TEST_EXISTS);
}

static char *
search (const char  *name,
        GError     **error)
{
  const char *variable = g_getenv ("KCP_PLUGIN_PATH");
  g_auto (GStrv) directories = g_strsplit (variable ? variable : "", ":", -1);
  g_autofree char *file_name = g_strconcat (name, ".so", NULL);
  g_autoptr (GString) tried = g_string_new (NULL);
  g_autofree char *file = NULL;

  for (guint i = 0; directories[i]; i++)
    {
      g_autofree char *candidate = NULL;

      if (*directories[i] == '\0')
        continue;
      candidate = g_build_filename (directories[i], file_name, NULL);
      if (is_there (candidate))
        return g_steal_pointer (&candidate);
      g_string_append_printf (tried, "%s, ", candidate);
    }

  file = g_build_filename (KCP_PLUGIN_DIR, file_name, NULL);
  if (is_there (file))
    return g_steal_pointer (&file);

  g_string_append (tried, file);
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
               _("there is no plugin “%s”; looked for %s (KCP_PLUGIN_PATH adds directories)"),
               name, tried->str);
  return NULL;
}

char *
host_plugin_find (const char  *plugin,
                  GError     **error)
{
  g_autofree char *directory = NULL;

  if (strchr (plugin, '/') == NULL && !g_str_has_suffix (plugin, ".so"))
    return search (plugin, error);

  if (is_there (plugin))
    return g_strdup (plugin);

  if (strchr (plugin, '/'))
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, _("there is no plugin file %s"), plugin);
      return NULL;
    }

  directory = g_get_current_dir ();
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
               _("there is no plugin file %s in %s; without “.so” the name is looked for "
                 "in KCP_PLUGIN_PATH and in %s"),
               plugin, directory, KCP_PLUGIN_DIR);
  return NULL;
}
