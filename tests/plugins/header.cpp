/* SPDX-License-Identifier: LGPL-2.1-or-later */

// A plugin in C++17. There are no designated initializers before C++20, so its members are set by a
// function. tests/check-headers.py builds it and asks it.
#include <kcp-plugin.h>

#include <string>

namespace {

class Greeter
{
public:
  explicit Greeter (KcpCallbackHandle *host)
    : name (kcp_callback_handle_get_actor_name (host))
  {
  }

  void
  answer (KcpInvocation *invocation) const
  {
    JsonNode *answer = json_node_new (JSON_NODE_VALUE);

    json_node_set_string (answer, ("C++ of " + name).c_str ());
    kcp_invocation_reply (invocation, answer);
  }

private:
  std::string name;
};

gboolean
start (KcpCallbackHandle *host, gpointer *self, GError **)
{
  *self = new Greeter (host);
  return TRUE;
}

void
stop (gpointer self)
{
  delete static_cast<Greeter *> (self);
}

const KcpHandlerEntry handlers[] = {
  { "language", "what it is written in",
    [] (gpointer self, KcpInvocation *invocation) { static_cast<Greeter *> (self)->answer (invocation); } },
  { nullptr, nullptr, nullptr },
};

KcpPlugin
make_plugin ()
{
  KcpPlugin made = {};

  made.name = "header-cpp";
  made.start = start;
  made.stop = stop;
  made.handlers = handlers;
  return made;
}

KcpPlugin plugin = make_plugin ();

}

KCP_DEFINE_PLUGIN (plugin)
