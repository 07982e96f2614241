/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A KEY=VALUE for the plugin. */
typedef struct
{
  char *key;
  char *value;
} HostSetting;

/* Of HostSetting, owned. */
GPtrArray *host_config_new        (void) G_GNUC_WARN_UNUSED_RESULT;

/* Whether an argument is meant as KEY=VALUE, not as a command. */
gboolean   host_config_is_setting (const char    *text);

/* @text is KEY=VALUE; KEY=@FILE reads the value from a file, KEY=@@… stands for a value that starts
 * with an @. */
gboolean   host_config_add        (GPtrArray     *config,
                                   const char    *text,
                                   GError       **error);

/* Lines of KEY=VALUE; blank ones and those that start with # are passed over. */
gboolean   host_config_add_file   (GPtrArray     *config,
                                   const char    *file,
                                   GError       **error);

/* The file that @plugin names; NULL with an error that says where it was looked for. */
char      *host_plugin_find       (const char    *plugin,
                                   GError       **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
