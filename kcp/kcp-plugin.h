/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one header a plugin includes.
 *
 *   configure (key, value)   once for each KEY=VALUE the host gives, in its order
 *          │
 *        start (host, &self) may already call the host back
 *          │
 *   handler (self, invocation) … any number, many open at once, answered now or later
 *          │
 *        stop (self)         when the host says goodbye; calls are drained by then
 *
 * All of it runs in the main thread of the child, inside its main loop. A handler that blocks
 * keeps the others waiting; take a reference on the invocation, work in a thread or with
 * asynchronous functions, and answer from wherever you are: the answering functions may be
 * called from any thread.
 */

#include "kcp-callback-handle.h"
#include "kcp-error.h"
#include "kcp-invocation.h"
#include "kcp-message.h"
#include "kcp-stream.h"
#include "kcp-trace-context.h"
#include "kcp-types.h"
#include "kcp-json.h"

G_BEGIN_DECLS

/**
 * KCP_PLUGIN_ABI:
 *
 * The version of the layout below. It changes only when a plugin has to be built again.
 */
#define KCP_PLUGIN_ABI 1

/**
 * KcpHandlerFunc:
 * @self: what the plugin's `start` put into its `self`
 * @invocation: (transfer none): the call to answer; take a reference to answer it later
 *
 * Serves one call. A call whose last reference goes without an answer is answered with
 * %KCP_ERROR_UNANSWERED.
 */
typedef void (*KcpHandlerFunc) (gpointer       self,
                                KcpInvocation *invocation);

/**
 * KcpHandlerEntry:
 * @path: the path it serves, at most 255 bytes of UTF-8
 * @description: (nullable): a line for people, shown by `kcp-host PLUGIN describe`
 * @function: what serves it
 *
 * A row of a plugin's table, which ends with a row whose @path is %NULL.
 */
typedef struct
{
  const char *path;
  const char *description;
  KcpHandlerFunc function;
} KcpHandlerEntry;

/**
 * KcpPlugin:
 *
 * What a plugin is. Fill in `name` and either `handlers` or `handle`; the rest may stay zero.
 * New members are only ever added at the end, so an older plugin stays loadable.
 */
typedef struct
{
  /* Filled in by KCP_DEFINE_PLUGIN(). */
  gsize struct_size;
  guint abi;

  /* Required: how logs and errors call it. */
  const char *name;

  /* Optional, for people. */
  const char *version;
  const char *description;
  const char *config_help;   /* a line "KEY=VALUE  what it does" for each key */

  /* Optional. FALSE with an error ends the start. Without `configure` any key is refused. */
  gboolean (*configure) (const char         *key,
                         const char         *value,
                         GError            **error);
  gboolean (*start)     (KcpCallbackHandle  *host,
                         gpointer           *self,
                         GError            **error);
  void     (*stop)      (gpointer            self);

  /* At least one of the two: a table, or a function for every path that is not in the table. */
  const KcpHandlerEntry *handlers;
  KcpHandlerFunc handle;
} KcpPlugin;

/**
 * KcpPluginEntryFunc:
 *
 * The type of the symbol `kcp_plugin_v1`.
 *
 * Returns: (transfer none): the plugin
 */
typedef const KcpPlugin *(*KcpPluginEntryFunc) (void);

/**
 * KCP_DEFINE_PLUGIN:
 * @plugin: a static variable of type #KcpPlugin
 *
 * Makes the entry symbol. Once in a plugin, at file scope.
 */
#define KCP_DEFINE_PLUGIN(plugin)                                             \
  G_BEGIN_DECLS                                                               \
  __attribute__ ((visibility ("default"))) const KcpPlugin *kcp_plugin_v1 (void); \
  const KcpPlugin *                                                           \
  kcp_plugin_v1 (void)                                                        \
  {                                                                           \
    (plugin).struct_size = sizeof (plugin);                                   \
    (plugin).abi = KCP_PLUGIN_ABI;                                            \
    return &(plugin);                                                         \
  }                                                                           \
  G_END_DECLS

G_END_DECLS
