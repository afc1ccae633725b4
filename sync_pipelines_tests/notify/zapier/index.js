// A small app on Zapier's platform: a trigger for syncs that are through, by REST hooks.
const { version: platformVersion } = require("zapier-platform-core");

const subscribe = async (z, bundle) => {
  const response = await z.request({
    method: "POST",
    url: `${bundle.authData.url}/hooks`,
    body: { target_url: bundle.targetUrl, event: "sync.completed" },
  });
  return response.data;
};

const unsubscribe = async (z, bundle) => {
  await z.request({ method: "DELETE", url: `${bundle.authData.url}/hooks/${bundle.subscribeData.id}` });
  return {};
};

const samples = async (z, bundle) => {
  const response = await z.request({
    url: `${bundle.authData.url}/hooks/samples`,
    params: { event: "sync.completed" },
  });
  return response.data;
};

module.exports = {
  version: "0.1.0",
  platformVersion,
  authentication: {
    type: "custom",
    fields: [
      { key: "url", label: "API", required: true },
      { key: "token", label: "Token", required: true, type: "password" },
    ],
    test: { url: "{{bundle.authData.url}}/webhooks" },
  },
  beforeRequest: [
    (request, z, bundle) => {
      request.headers.Authorization = `Bearer ${bundle.authData.token}`;
      return request;
    },
  ],
  triggers: {
    sync_completed: {
      key: "sync_completed",
      noun: "Sync",
      display: { label: "Sync Completed", description: "Triggers when a sync of a customer is through." },
      operation: {
        type: "hook",
        performSubscribe: subscribe,
        performUnsubscribe: unsubscribe,
        perform: (z, bundle) => [bundle.cleanedRequest],
        performList: samples,
        sample: { id: "msg_1", type: "sync.completed", customer_id: "acme" },
      },
    },
  },
};
