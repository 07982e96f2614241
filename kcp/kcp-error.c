/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-error-private.h"

typedef struct
{
  char *remote_domain;
  char *remote_message;
  int remote_code;
} KcpErrorPrivate;

static void
kcp_error_private_init (KcpErrorPrivate *priv)
{
  /* GLib hands it over zeroed. */
}

static void
kcp_error_private_copy (const KcpErrorPrivate *from,
                        KcpErrorPrivate       *to)
{
  to->remote_domain = g_strdup (from->remote_domain);
  to->remote_message = g_strdup (from->remote_message);
  to->remote_code = from->remote_code;
}

static void
kcp_error_private_clear (KcpErrorPrivate *priv)
{
  g_free (priv->remote_domain);
  g_free (priv->remote_message);
}

G_DEFINE_EXTENDED_ERROR (KcpError, kcp_error)

typedef struct
{
  const char *name;
  /* Whether the other side may say it of itself. The rest are verdicts about a child, which no
   * child may pronounce: a plugin that answers "child-crashed" must not look like a crash. */
  gboolean from_peer;
} KcpErrorName;

static const KcpErrorName names[] = {
  [KCP_ERROR_SPAWN_FAILED] = { "spawn-failed", FALSE },
  [KCP_ERROR_HANDSHAKE_FAILED] = { "handshake-failed", FALSE },
  [KCP_ERROR_HANDSHAKE_TIMED_OUT] = { "handshake-timed-out", FALSE },
  [KCP_ERROR_VERSION_MISMATCH] = { "version-mismatch", FALSE },
  [KCP_ERROR_PLUGIN_LOAD] = { "plugin-load", FALSE },
  [KCP_ERROR_PLUGIN_ABI] = { "plugin-abi", FALSE },
  [KCP_ERROR_PLUGIN_START] = { "plugin-start", FALSE },
  [KCP_ERROR_CHILD_EXITED] = { "child-exited", FALSE },
  [KCP_ERROR_CHILD_CRASHED] = { "child-crashed", FALSE },
  [KCP_ERROR_CONNECTION_CLOSED] = { "connection-closed", FALSE },
  [KCP_ERROR_NOT_RUNNING] = { "not-running", FALSE },
  [KCP_ERROR_STOPPING] = { "stopping", TRUE },
  [KCP_ERROR_TIMED_OUT] = { "timed-out", TRUE },
  [KCP_ERROR_BUSY] = { "busy", TRUE },
  [KCP_ERROR_TOO_LARGE] = { "too-large", TRUE },
  [KCP_ERROR_INVALID_MESSAGE] = { "invalid-message", TRUE },
  [KCP_ERROR_UNKNOWN_PATH] = { "unknown-path", TRUE },
  [KCP_ERROR_HANDLER_FAILED] = { "handler-failed", TRUE },
  [KCP_ERROR_UNANSWERED] = { "unanswered", TRUE },
  [KCP_ERROR_PROTOCOL] = { "protocol", FALSE },
  [KCP_ERROR_PERMISSION] = { "permission", TRUE },
  [KCP_ERROR_DUPLICATE_PATH] = { "duplicate-path", FALSE },
  [KCP_ERROR_INVALID_ARGUMENT] = { "invalid-argument", TRUE },
};

/**
 * kcp_error_to_string:
 * @code: an error code
 *
 * The stable name of @code, which is also its name on the wire, such as "unknown-path".
 *
 * Returns: (transfer none): the name
 */
const char *
kcp_error_to_string (KcpError code)
{
  if ((gsize) code >= G_N_ELEMENTS (names))
    return "unknown";

  return names[code].name;
}

/**
 * kcp_error_from_string:
 * @name: a name as kcp_error_to_string() gives it
 * @code: (out) (optional): where to put the code
 *
 * Returns: %TRUE if @name is the name of a code
 */
gboolean
kcp_error_from_string (const char *name,
                       KcpError   *code)
{
  g_return_val_if_fail (name != NULL, FALSE);

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (names[i].name, name))
      {
        if (code)
          *code = (KcpError) i;
        return TRUE;
      }

  return FALSE;
}

/* ---- known domains ---- */

G_LOCK_DEFINE_STATIC (domains);
static GHashTable *domains; /* quark text (static) → quark */

static void
ensure_domains_locked (void)
{
  const GQuark known[] = {
    G_IO_ERROR, G_FILE_ERROR, G_KEY_FILE_ERROR, G_MARKUP_ERROR, G_CONVERT_ERROR, G_SPAWN_ERROR,
    G_REGEX_ERROR, G_URI_ERROR, G_NUMBER_PARSER_ERROR, G_OPTION_ERROR, G_RESOURCE_ERROR,
    G_RESOLVER_ERROR, G_TLS_ERROR, G_DBUS_ERROR, G_VARIANT_PARSE_ERROR, JSON_PARSER_ERROR,
    JSON_READER_ERROR,
  };

  if (domains)
    return;

  domains = g_hash_table_new (g_str_hash, g_str_equal);
  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    g_hash_table_insert (domains, (gpointer) g_quark_to_string (known[i]), GUINT_TO_POINTER (known[i]));
}

/**
 * kcp_error_register_domain:
 * @domain: an error domain
 *
 * Makes @domain known: an error of it that the other side raised arrives as an error of
 * @domain. Those of GIO, GLib and json-glib are known from the start. Errors of other domains
 * arrive as %KCP_ERROR_HANDLER_FAILED, see kcp_error_get_remote_domain(). May be called from
 * any thread.
 */
void
kcp_error_register_domain (GQuark domain)
{
  g_return_if_fail (domain != 0);

  G_LOCK (domains);
  ensure_domains_locked ();
  g_hash_table_insert (domains, (gpointer) g_quark_to_string (domain), GUINT_TO_POINTER (domain));
  G_UNLOCK (domains);
}

static GQuark
find_domain (const char *text)
{
  GQuark domain;

  G_LOCK (domains);
  ensure_domains_locked ();
  domain = GPOINTER_TO_UINT (g_hash_table_lookup (domains, text));
  G_UNLOCK (domains);

  return domain;
}

/* ---- errors of the other side ---- */

GError *
kcp_error_new_with_remote (KcpError    code,
                           const char *message,
                           const char *remote_domain,
                           int         remote_code,
                           const char *remote_message)
{
  GError *error = g_error_new_literal (KCP_ERROR, (int) code, message);
  KcpErrorPrivate *priv = kcp_error_get_private (error);

  priv->remote_domain = g_strdup (remote_domain);
  priv->remote_message = g_strdup (remote_message);
  priv->remote_code = remote_code;
  return error;
}

GError *
kcp_error_from_peer (const char *domain,
                     const char *code_name,
                     int         code,
                     const char *message)
{
  KcpError own;
  GQuark known;

  if (code_name && g_str_equal (domain, KCP_ERROR_WIRE_DOMAIN) &&
      kcp_error_from_string (code_name, &own))
    {
      if (names[own].from_peer)
        return g_error_new_literal (KCP_ERROR, (int) own, message);
      code = (int) own;
    }

  known = find_domain (domain);
  if (known != 0 && known != KCP_ERROR && !(known == G_IO_ERROR && code == G_IO_ERROR_CANCELLED))
    return g_error_new_literal (known, code, message);

  return kcp_error_new_with_remote (KCP_ERROR_HANDLER_FAILED, message, domain, code, message);
}

/**
 * kcp_error_get_remote_domain:
 * @error: an error of any domain
 *
 * The error domain that the other side used, when it is not the domain of @error itself: a
 * handler's error in a domain unknown to this program, or what a plugin's `start` returned.
 *
 * Returns: (transfer none) (nullable): the domain's text, or %NULL if @error is as it was raised
 */
const char *
kcp_error_get_remote_domain (const GError *error)
{
  g_return_val_if_fail (error != NULL, NULL);

  if (error->domain != KCP_ERROR)
    return NULL;

  return kcp_error_get_private (error)->remote_domain;
}

/**
 * kcp_error_get_remote_code:
 * @error: an error of any domain
 *
 * Returns: the code that belongs to kcp_error_get_remote_domain(), or the code of @error itself
 */
int
kcp_error_get_remote_code (const GError *error)
{
  g_return_val_if_fail (error != NULL, 0);

  if (kcp_error_get_remote_domain (error) == NULL)
    return error->code;

  return kcp_error_get_private (error)->remote_code;
}

/**
 * kcp_error_get_remote_message:
 * @error: an error of any domain
 *
 * Returns: (transfer none): the text as the other side wrote it, without what was put before it
 *   on this side; the message of @error itself where there is no other
 */
const char *
kcp_error_get_remote_message (const GError *error)
{
  g_return_val_if_fail (error != NULL, NULL);

  if (kcp_error_get_remote_domain (error) == NULL)
    return error->message;

  return kcp_error_get_private (error)->remote_message;
}
