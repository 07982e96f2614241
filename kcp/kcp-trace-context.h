/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_TRACE_CONTEXT (kcp_trace_context_get_type ())

KCP_AVAILABLE_IN_ALL
GType            kcp_trace_context_get_type        (void);

KCP_AVAILABLE_IN_ALL
KcpTraceContext *kcp_trace_context_new             (void) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpTraceContext *kcp_trace_context_new_child       (KcpTraceContext  *parent) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpTraceContext *kcp_trace_context_parse           (const char       *traceparent,
                                                    const char       *tracestate,
                                                    GError          **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpTraceContext *kcp_trace_context_ref             (KcpTraceContext  *self);
KCP_AVAILABLE_IN_ALL
void             kcp_trace_context_unref           (KcpTraceContext  *self);

KCP_AVAILABLE_IN_ALL
const char      *kcp_trace_context_get_traceparent (KcpTraceContext  *self);
KCP_AVAILABLE_IN_ALL
const char      *kcp_trace_context_get_tracestate  (KcpTraceContext  *self);
KCP_AVAILABLE_IN_ALL
const char      *kcp_trace_context_get_trace_id    (KcpTraceContext  *self);
KCP_AVAILABLE_IN_ALL
const char      *kcp_trace_context_get_span_id     (KcpTraceContext  *self);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_trace_context_is_sampled      (KcpTraceContext  *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpTraceContext, kcp_trace_context_unref)

G_END_DECLS
