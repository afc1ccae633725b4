// Drives the app with the platform's own tester: node drive.js STEP JSON, the answer as JSON in the last line.
// Every step runs through the platform's checks of what triggers and hooks may give.
const zapier = require("zapier-platform-core");
const { compileApp, validateApp } = require("zapier-platform-core/src/tools/schema");
const { Webhook } = require("standardwebhooks");
const App = require("./index");

const [step, given] = process.argv.slice(2);
const bundle = JSON.parse(given);
const tester = zapier.createAppTester(App);
const { operation } = App.triggers.sync_completed;

const steps = {
  validate: async () => validateApp(compileApp(App)),
  test: () => tester(App.authentication.test, bundle),
  subscribe: () => tester(operation.performSubscribe, bundle),
  list: () => tester(operation.performList, bundle),
  perform: () => tester(operation.perform, bundle),
  unsubscribe: () => tester(operation.performUnsubscribe, bundle),
  verify: async () => new Webhook(bundle.secret).verify(bundle.body, bundle.headers),
};

steps[step]().then(
  (answer) => {
    console.log(JSON.stringify(answer));
  },
  (problem) => {
    console.error(problem);
    process.exitCode = 1;
  },
);
