/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-trace-context.h"

G_BEGIN_DECLS

/* The text forms of W3C Trace Context, levels 1 and 2, apart from the object: kcp-trace-context-parse.c
 * only looks at text, allocates nothing, and may be called from any thread. Section numbers are
 * those of the specification. */

#define KCP_TRACE_ID_LENGTH 32
#define KCP_SPAN_ID_LENGTH 16

/* Where the fields of `vv-<trace id>-<span id>-ff` start. */
#define KCP_TRACE_ID_OFFSET 3
#define KCP_SPAN_ID_OFFSET (KCP_TRACE_ID_OFFSET + KCP_TRACE_ID_LENGTH + 1)
#define KCP_TRACE_FLAGS_OFFSET (KCP_SPAN_ID_OFFSET + KCP_SPAN_ID_LENGTH + 1)
#define KCP_TRACEPARENT_LENGTH (KCP_TRACE_FLAGS_OFFSET + 2)

#define KCP_TRACESTATE_MAX_MEMBERS 32

/* One `key=value` of a tracestate, inside the text that was read. */
typedef struct
{
  const char *start;
  gsize       key_length;
  gsize       length; /* of the whole `key=value` */
} KcpTracestateMember;

typedef struct
{
  KcpTracestateMember members[KCP_TRACESTATE_MAX_MEMBERS];
  guint               n_members;
  gsize               length; /* of all members with a comma between each two */
} KcpTracestate;

/* Says what is wrong with @text, or NULL; after NULL its fields may be taken from their offsets. */
const char *kcp_traceparent_find_fault (const char          *text);

/* @text may be NULL. On FALSE the whole of it is to be dropped; @tracestate is left empty then. */
gboolean    kcp_tracestate_read        (const char          *text,
                                        KcpTracestate       *tracestate);

/* Writes @tracestate->length characters and no NUL. The text that was read must still be there. */
void        kcp_tracestate_write       (const KcpTracestate *tracestate,
                                        char                *out);

G_END_DECLS
