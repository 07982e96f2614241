/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-exit-hint-private.h"

#include <signal.h>
#include <string.h>

/* A signal's number says little to whoever has set the limit that it stands for. */

static char *
over (const char              *what,
      const KcpResourceLimits *limits,
      KcpResource              resource)
{
  g_autofree char *text = NULL;

  /* A limit that the child has from the host, or has set itself. */
  if (!KCP_RESOURCE_IS_SET (limits, resource) || limits->values[resource] == KCP_RESOURCE_UNLIMITED)
    return g_strdup (what);

  text = kcp_resource_describe (resource, limits->values[resource]);
  return g_strdup_printf ("%s: %s", what, text);
}

/* Whether it has used up its CPU time; it was told so in vain before it was killed. */
static gboolean
out_of_cpu_time (const KcpExitStatus     *status,
                 const KcpResourceLimits *limits)
{
  guint64 used = (guint64) (status->user_us + status->system_us) / G_USEC_PER_SEC;

  return KCP_RESOURCE_IS_SET (limits, KCP_RESOURCE_CPU_TIME) && used >= limits->values[KCP_RESOURCE_CPU_TIME];
}

/* What GLib, the C++ library and most programs say when there is no memory left. */
static gboolean
speaks_of_memory (const char *text)
{
  static const char *const words[] = { "failed to allocate", "bad_alloc", "annot allocate memory", "ut of memory" };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (strstr (text, words[i]))
      return TRUE;

  return FALSE;
}

static char *
hint_at_memory (const KcpExitStatus     *status,
                const KcpResourceLimits *limits,
                const char              *stderr_tail)
{
  gboolean limited = KCP_RESOURCE_IS_SET (limits, KCP_RESOURCE_ADDRESS_SPACE) &&
                     limits->values[KCP_RESOURCE_ADDRESS_SPACE] != KCP_RESOURCE_UNLIMITED;

  if (speaks_of_memory (stderr_tail))
    return over (limited ? "out of memory, over its limit" : "out of memory", limits, KCP_RESOURCE_ADDRESS_SPACE);
  if (limited && (status->number == SIGABRT || status->number == SIGTRAP))
    return over ("perhaps out of memory, it has a limit", limits, KCP_RESOURCE_ADDRESS_SPACE);

  return NULL;
}

char *
kcp_exit_hint (const KcpExitStatus     *status,
               const KcpResourceLimits *limits,
               gboolean                 killed,
               const char              *stderr_tail)
{
  if (status->unknown || !status->signalled)
    return NULL;

  switch (status->number)
    {
    case SIGXCPU:
      return over ("over its CPU limit", limits, KCP_RESOURCE_CPU_TIME);
    case SIGXFSZ:
      return over ("over its file size limit", limits, KCP_RESOURCE_FILE_SIZE);
    case SIGKILL:
      if (killed)
        return NULL;
      if (out_of_cpu_time (status, limits))
        return over ("over its CPU limit", limits, KCP_RESOURCE_CPU_TIME);
      return g_strdup ("this program has not sent it: perhaps the kernel was out of memory (see its log)");
    case SIGABRT:
    case SIGTRAP:
    case SIGSEGV:
    case SIGBUS:
      return hint_at_memory (status, limits, stderr_tail);
    default:
      return NULL;
    }
}
